"""What the command shows of outlier scans."""

from pathlib import Path
from unittest.mock import MagicMock

import pytest
from google.protobuf import text_format

from aimass.catalog.v1 import model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common.cli import models, run_files, scans
from common.cli.connection import VARIABLES, find_endpoint
from common.cli.context import CliContext
from common.cli.errors import CliError
from common.cli.follow import print_outcome
from common.cli.progress import RunProgress
from common.local.home import SuiteHome
from tests.unit.cli.support import call, shown_by

SCAN = text_format.Parse(
    """
    name: "outlierScans/s1"
    spec { dataset_version: "datasets/payments/versions/3" }
    status {
      state: RUN_STATE_SUCCEEDED
      start_time { seconds: 100 }
      end_time { seconds: 142 }
    }
    model_version: "models/payments-outliers/versions/1"
    summary {
      row_count: 2000 marked_count: 31 threshold: 2.5 expected_share: 0.0171
      detectors: "ecod" detectors: "knn"
      left_out { name: "kde" reason: "It would take 4 hours." }
      dropped_columns: "currency"
      groups { row_count: 20 columns { column: "amount" share: 0.8 } rows: [7, 1203] }
      label_count: 40 anomaly_label_count: 6 learned_share: 0.25
    }
    scores { uri: "s3://aimass/scores" size_bytes: 2048 sha256: "a" }
    page { uri: "s3://aimass/page" size_bytes: 4096 sha256: "b" }
    """,
    outlier_pb2.OutlierScan(),
)
ANOMALY = text_format.Parse(
    r"""
    row: 1203 rank: 1 score: 9.75 probability: 0.998 p_value: 0.0005 group: 0
    explanation {
      reasons { column: "amount" contribution: 0.8 value: "99000" usual: "20 to 40" }
      reasons { column: "\033[2Jcity" contribution: 0.1 value: "Atlantis" }
      broken: "currency EUR goes with country DE in 99 % of rows."
    }
    """,
    outlier_pb2.Anomaly(),
)


@pytest.fixture
def suite() -> MagicMock:
    """Stubs that answer what a test says."""
    clients = MagicMock()
    clients.outliers.GetOutlierScan.return_value = SCAN
    return clients


def test_what_was_found_is_shown_whole(
    cli: CliContext, suite: MagicMock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows, marks, threshold, detectors, labels, groups, and where everything is."""
    call(scans.show, cli, "s1")
    shown = shown_by(cli)
    for line in (
        "outlierScans/s1  SUCCEEDED  42 s",
        "of datasets/payments/versions/3",
        "31 of 2,000 rows marked (1.6 %): scores above 2.5; the scores speak for 1.7 %",
        "detectors: ecod, knn",
        "learned from 40 labels, 6 of them anomalies: 25 % of the score",
        "left out: kde: It would take 4 hours.",
        "columns that say nothing: currency",
        "amount 80 %",
        "7, 1203",
        "detector: models/payments-outliers/versions/1",
        "scores: s3://aimass/scores, 2.0 kB",
        "page: s3://aimass/page, 4.0 kB",
    ):
        assert line in shown
    request = suite.outliers.GetOutlierScan.call_args.args[0]
    assert request.name == "outlierScans/s1"


def test_a_scan_that_was_followed_ends_with_what_it_found(cli: CliContext) -> None:
    """Nobody has to ask for the result of what they just waited for."""
    print_outcome(SCAN, RunProgress(), cli.console)
    shown = shown_by(cli)
    assert shown.startswith("SUCCEEDED in 42 s: models/payments-outliers/versions/1\n31 of 2,000")


def test_a_training_run_says_what_marks_were_worth(cli: CliContext) -> None:
    """Whether outliers were left out of the training, and on what grounds, is said at its end."""
    run = trainer_pb2.TrainingRun(name="trainingRuns/t", model_version="models/m/versions/1")
    run.status.state = run_pb2.RUN_STATE_SUCCEEDED
    results = run.outlier_comparison.results
    results.add(use=trainer_pb2.OUTLIER_USE_KEEP, mean=0.5, reason="Another use is better.")
    results.add(
        use=trainer_pb2.OUTLIER_USE_DOWN_WEIGHT,
        mean=0.25,
        difference=0.25,
        lower_bound=0.125,
        adopted=True,
        reason="It is better.",
    )
    print_outcome(run, RunProgress(), cli.console)
    keep, adopted = (" ".join(line.split()) for line in shown_by(cli).splitlines()[-2:])
    assert keep == "keep 0.5 Another use is better."
    assert adopted == "down_weight 0.25 0.25 0.125 yes It is better."


def test_a_detector_that_was_not_kept_says_why(cli: CliContext) -> None:
    """Whoever wants to score with it learns that there is none, and what to change."""
    scan = outlier_pb2.OutlierScan()
    scan.CopyFrom(SCAN)
    scan.model_version, scan.summary.not_kept = "", "It was larger than 2 GB."
    print_outcome(scan, RunProgress(), cli.console)
    assert "the detector was not kept: It was larger than 2 GB." in shown_by(cli)


def test_a_scan_that_goes_on_has_found_nothing_yet(cli: CliContext, suite: MagicMock) -> None:
    """No zeros that look like a result, and no file that is not there."""
    status = run_pb2.RunStatus(state=run_pb2.RUN_STATE_RUNNING)
    scan = outlier_pb2.OutlierScan(name="outlierScans/s1", status=status)
    suite.outliers.GetOutlierScan.return_value = scan
    call(scans.show, cli, "outlierScans/s1")
    assert "marked" not in shown_by(cli)
    with pytest.raises(CliError, match="outlierScans/s1 is RUNNING and has no page"):
        call(scans.download, cli, "s1")


def test_a_scan_that_failed_says_why(cli: CliContext, suite: MagicMock) -> None:
    """Whoever looks for what was found learns why nothing was, and where to look further."""
    status = run_pb2.RunStatus(state=run_pb2.RUN_STATE_FAILED)
    status.error.message = "The data cannot be read."
    scan = outlier_pb2.OutlierScan(name="outlierScans/s1", status=status)
    suite.outliers.GetOutlierScan.return_value = scan
    call(scans.show, cli, "s1")
    assert "outlierScans/s1 failed after 0 s: The data cannot be read." in shown_by(cli)
    assert "aimass logs outlierScans/s1" in shown_by(cli)


def test_a_long_name_of_a_column_does_not_fill_the_screen(
    cli: CliContext, suite: MagicMock
) -> None:
    """Names come from files of others, and may have a thousand characters, or lines."""
    anomaly, scan = outlier_pb2.Anomaly(), outlier_pb2.OutlierScan()
    anomaly.CopyFrom(ANOMALY)
    scan.CopyFrom(SCAN)
    anomaly.explanation.reasons[0].column = scan.summary.groups[0].columns[0].column = "a\nb" * 500
    suite.outliers.ListAnomalies.return_value = outlier_pb2.ListAnomaliesResponse(
        anomalies=[anomaly]
    )
    suite.outliers.GetOutlierScan.return_value = scan
    call(scans.anomalies, cli, "s1", most=1)
    call(scans.show, cli, "s1")
    cut = "a " + "ba " * 19 + "…"
    assert shown_by(cli).count(cut) == 2


def test_anomalies_come_with_their_reasons(cli: CliContext, suite: MagicMock) -> None:
    """The value, what is usual there, and relations that break; names steer no terminal."""
    pages = [
        outlier_pb2.ListAnomaliesResponse(anomalies=[ANOMALY], next_page_token="more"),
        outlier_pb2.ListAnomaliesResponse(anomalies=[outlier_pb2.Anomaly(row=5, rank=2)]),
    ]
    suite.outliers.ListAnomalies.side_effect = pages
    call(scans.anomalies, cli, "s1", most=20)
    shown = shown_by(cli)
    for words in (
        "1203",
        "9.75",
        "0.998",
        "0.0005",
        "amount 99000, usual 20 to 40",
        "[2Jcity Atlantis",
        "currency EUR goes with country DE in 99 % of rows.",
    ):
        assert words in shown
    assert "\033" not in shown
    assert suite.outliers.ListAnomalies.call_count == 2


def test_no_more_anomalies_than_wanted(cli: CliContext, suite: MagicMock) -> None:
    """A short list asks for a short page, and for no second one."""
    page = outlier_pb2.ListAnomaliesResponse(anomalies=[ANOMALY], next_page_token="more")
    suite.outliers.ListAnomalies.return_value = page
    call(scans.anomalies, cli, "s1", most=1)
    (asked,) = (each.args[0] for each in suite.outliers.ListAnomalies.call_args_list)
    assert (asked.parent, asked.page_size) == ("outlierScans/s1", 1)


def test_page_and_scores_are_saved(
    cli: CliContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each under the name that its reader expects; only what was asked for."""
    saved = {}

    def save(cli: CliContext, artifact: object, path: Path) -> None:
        saved[path.name] = artifact

    monkeypatch.setattr(run_files, "download_with_bar", save)
    call(scans.download, cli, "s1", to=tmp_path / "s1")
    assert saved == {"page.html": SCAN.page, "scores.parquet": SCAN.scores}
    with pytest.raises(CliError, match="outlierScans/s1 has no pages; it has page and scores"):
        call(scans.download, cli, "s1", to=tmp_path, only=["pages"])


def test_detectors_are_listed_with_what_they_are_for(cli: CliContext, suite: MagicMock) -> None:
    """Whoever chooses by hand sees what each is good for."""
    card = outlier_pb2.DetectorCard(
        name="knn", fits="Far points.", cost="n log n", source="Ramaswamy, 2000", most_rows=20000
    )
    answer = outlier_pb2.ListDetectorsResponse(detectors=[card])
    suite.outliers.ListDetectors.return_value = answer
    call(scans.detectors, cli)
    shown = shown_by(cli)
    for words in ("knn", "Far points.", "n log n", "20,000", "Ramaswamy, 2000"):
        assert words in shown


def test_a_detector_among_the_models_reads_as_one(cli: CliContext, suite: MagicMock) -> None:
    """It is no network without parameters, and an empty table of metrics says nothing."""
    version = model_pb2.ModelVersion(
        name="models/m/versions/1", format=model_pb2.MODEL_FORMAT_DETECTOR
    )
    version.artifacts["detector"].uri = "s3://aimass/d"
    version.lineage.inputs.append("datasets/payments/versions/3")
    suite.models.GetModelVersion.return_value = version
    call(models.show, cli, "m")
    shown = shown_by(cli)
    for words in ("outlier detector", "from datasets/payments/versions/3", "s3://aimass/d"):
        assert words in shown
    assert "parameters" not in shown and "metric" not in shown


def test_a_forgotten_address_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who names some services of a remote suite learns which one is missing."""
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "a:1")
    assert find_endpoint(SuiteHome(tmp_path)).addresses["outlier"] == "a:1"
    monkeypatch.delenv("AIMASS_OUTLIER_ADDRESS")
    with pytest.raises(CliError) as caught:
        find_endpoint(SuiteHome(tmp_path))
    assert caught.value.details == ("AIMASS_OUTLIER_ADDRESS is not set.",)
