"""What the command does with analyses: starts them, shows what they found, opens their report."""

import sys
import webbrowser
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import typer
from google.protobuf import text_format

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import model_pb2, transfer_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.type.v1 import run_pb2
from common.cli import analyses, opening, run_files
from common.cli.context import CliContext
from common.cli.errors import CliError
from common.cli.follow import print_outcome
from common.cli.progress import RunProgress
from tests.unit.cli.support import call, shown_by

ANALYSIS = text_format.Parse(
    r"""
    name: "analyses/a1"
    spec {
      model_version: "models/iris/versions/1"
      challengers: "models/iris/versions/2"
      dataset_version: "datasets/iris/versions/3"
    }
    status {
      state: RUN_STATE_SUCCEEDED
      start_time { seconds: 100 }
      end_time { seconds: 142 }
    }
    summary {
      verdict: "It is right in 95 % of the rows."
      row_count: 1500
      metrics { key: "accuracy" value: 0.95 }
      findings {
        rule: "leakage" severity: SEVERITY_PROBLEM subject: "\033[2Jcode"
        problem: "One column explains all." cure: "Leave code out."
      }
      findings { rule: "calibration" severity: SEVERITY_NOTE problem: "It is too sure." }
      parts { part: ANALYSIS_PART_STRUCTURE state: PART_STATE_DONE duration { seconds: 2 } }
      parts {
        part: ANALYSIS_PART_CURVES state: PART_STATE_NOT_APPLICABLE
        notes: "It was not trained here." notes: "Import its history."
      }
    }
    report { uri: "s3://aimass/report.html" size_bytes: 4096 sha256: "a" }
    results { uri: "s3://aimass/results" size_bytes: 2048 sha256: "b" }
    """,
    analyzer_pb2.Analysis(),
)
RUNNING = analyzer_pb2.Analysis(
    name="analyses/a1", status=run_pb2.RunStatus(state=run_pb2.RUN_STATE_RUNNING)
)


@pytest.fixture
def suite() -> MagicMock:
    """Stubs that answer what a test says."""
    clients = MagicMock()
    clients.analyses.GetAnalysis.return_value = ANALYSIS
    for method in ("CreateAnalysis", "CompareModels"):
        getattr(clients.analyses, method).return_value = ANALYSIS
    clients.analyses.WatchAnalysis.return_value = iter(())
    answer = transfer_pb2.CreateArtifactUrlResponse(url="http://store/x?signed")
    clients.transfer.CreateArtifactUrl.return_value = answer
    return clients


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was given."""
    found: list[str] = []
    monkeypatch.setattr(webbrowser, "open", found.append)
    return found


def test_what_was_found_is_shown_whole(cli: CliContext, suite: MagicMock) -> None:
    """Verdict, metrics, problems with their cure, parts with their notes; names steer nothing."""
    call(analyses.show, cli, "a1")
    shown = shown_by(cli)
    for words in (
        "analyses/a1  SUCCEEDED  42 s",
        "of models/iris/versions/1 against models/iris/versions/2 on datasets/iris/versions/3",
        "It is right in 95 % of the rows.",
        "accuracy 0.95 on 1,500 rows",
        "One column explains all.",
        "Leave code out.",
        "the model",
        "not applicable",
        "It was not trained here.",
        "Import its history.",
        "report: s3://aimass/report.html, 4.0 kB",
        "aimass open analyses/a1",
    ):
        assert words in shown
    assert "\033" not in shown
    assert suite.analyses.GetAnalysis.call_args.args[0].name == "analyses/a1"


def test_an_analysis_that_was_followed_ends_with_what_it_found(cli: CliContext) -> None:
    """Nobody has to ask for the result of what they just waited for."""
    print_outcome(ANALYSIS, RunProgress(), cli.console)
    assert shown_by(cli).startswith("SUCCEEDED in 42 s\nIt is right in 95 % of the rows.")


def test_an_analysis_that_failed_says_why(cli: CliContext, suite: MagicMock) -> None:
    """Whoever looks for what was found learns why nothing was."""
    status = run_pb2.RunStatus(state=run_pb2.RUN_STATE_FAILED)
    status.error.message = "The weights are not finite."
    failed = analyzer_pb2.Analysis(name="analyses/a1", status=status)
    suite.analyses.GetAnalysis.return_value = failed
    call(analyses.show, cli, "a1")
    assert "analyses/a1 failed after 0 s: The weights are not finite." in shown_by(cli)


def test_an_analysis_is_started_with_short_names(cli: CliContext, suite: MagicMock) -> None:
    """Names, parts and budget go into the request as the contract wants them."""
    with pytest.raises(typer.Exit) as ended:
        call(analyses.analyze, cli, "iris/2", data="iris", part=["weights"], budget=30)
    assert ended.value.exit_code == 0
    spec = suite.analyses.CreateAnalysis.call_args.args[0].analysis.spec
    assert spec.model_version == "models/iris/versions/2"
    assert spec.dataset_version == "datasets/iris/versions/latest"
    assert [each.part for each in spec.parts] == [analyzer_pb2.ANALYSIS_PART_WEIGHTS]
    assert spec.budget.seconds == 30
    assert "It is right in 95 % of the rows." in shown_by(cli)
    with pytest.raises(CliError, match="--part: colours is none of structure, weights"):
        call(analyses.analyze, cli, "iris", part=["colours"])


def test_versions_are_compared_in_the_order_given(cli: CliContext, suite: MagicMock) -> None:
    """The first is the baseline; what was not given is left to the service."""
    call(analyses.compare, cli, ["iris/1", "models/iris/versions/2", "iris"], detach=True)
    request = suite.analyses.CompareModels.call_args.args[0]
    numbers = [each.removeprefix("models/iris/versions/") for each in request.model_versions]
    assert numbers == ["1", "2", "latest"]
    assert request.options == analyzer_pb2.AnalysisSpec()
    assert not suite.analyses.WatchAnalysis.called


def test_report_and_results_are_saved(
    cli: CliContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each under the name that its reader expects; only what was asked for."""
    saved = {}

    def save(cli: CliContext, artifact: object, path: Path) -> None:
        saved[path.name] = artifact

    monkeypatch.setattr(run_files, "download_with_bar", save)
    call(analyses.download, cli, "a1", to=tmp_path / "a1")
    assert saved == {"report.html": ANALYSIS.report, "results.binpb": ANALYSIS.results}
    with pytest.raises(CliError, match="analyses/a1 has no page; it has report and results"):
        call(analyses.download, cli, "a1", to=tmp_path, only=["page"])


def test_the_report_opens_in_the_browser(
    cli: CliContext, suite: MagicMock, opened: list[str]
) -> None:
    """The address is shown as well, for who sits at another machine."""
    call(opening.open_, cli, "a1")
    assert opened == ["http://store/x?signed"] == shown_by(cli).split()
    artifact = suite.transfer.CreateArtifactUrl.call_args.args[0].artifact
    assert artifact == ANALYSIS.report
    call(opening.open_, cli, "a1", url_only=True)
    assert len(opened) == 1


def test_a_page_that_was_downloaded_opens(
    cli: CliContext, suite: MagicMock, opened: list[str], tmp_path: Path
) -> None:
    """Needs no suite: what is asked for lies here."""
    page = tmp_path / "story.html"
    page.write_text("<html></html>")
    call(opening.open_, cli, str(page))
    assert opened == [page.as_uri()]
    assert not suite.transfer.CreateArtifactUrl.called


def test_no_browser_is_asked_where_there_is_no_screen(
    monkeypatch: pytest.MonkeyPatch, opened: list[str], tmp_path: Path
) -> None:
    """Protects terminals from browsers of text that would take them over."""
    monkeypatch.setattr(sys, "platform", "linux")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    assert not opening.open_file(tmp_path / "story.html")
    assert opened == []


def test_only_what_has_a_page_is_opened(
    cli: CliContext, suite: MagicMock, opened: list[str]
) -> None:
    """Scans have one too; other runs, and those that go on, say that there is none."""
    scan = outlier_pb2.OutlierScan(name="outlierScans/s1")
    scan.page.uri = "s3://aimass/page.html"
    suite.outliers.GetOutlierScan.return_value = scan
    call(opening.open_, cli, "outlierScans/s1")
    assert opened
    suite.analyses.GetAnalysis.return_value = RUNNING
    with pytest.raises(CliError, match="analyses/a1 is RUNNING and has no report"):
        call(opening.open_, cli, "a1")
    suite.models.GetModelImport.return_value = model_pb2.ModelImport(name="modelImports/i1")
    with pytest.raises(CliError, match="modelImports/i1 makes no page"):
        call(opening.open_, cli, "modelImports/i1")
