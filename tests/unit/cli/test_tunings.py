"""What the command does with searches for models: starts them, shows what they found and tried."""

import webbrowser
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import typer
from google.protobuf import text_format

from aimass.catalog.v1 import transfer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.cli import opening, run_files, tunings
from common.cli.context import CliContext
from common.cli.errors import CliError
from common.cli.follow import print_outcome
from common.cli.progress import RunProgress
from tests.unit.cli.support import call, shown_by

TUNING = text_format.Parse(
    r"""
    name: "tuningRuns/t1"
    spec { dataset_version: "datasets/iris/versions/3" targets: "species" }
    model_version: "models/iris/versions/1"
    status {
      state: RUN_STATE_SUCCEEDED
      start_time { seconds: 100 }
      end_time { seconds: 142 }
    }
    summary {
      verdict: "It is clearly better than the floors."
      metric: "log_loss"
      score { value: 0.05123 standard_error: 0.0123 }
      test_score { value: 0.061 }
      floor_scores { key: "random_forest" value: 0.21 }
      floor_scores { key: "hist_gradient_boosting" value: 0.19 }
      members { candidate: 7 family: "linear" weight: 0.625 }
      members { candidate: 3 family: "\033[2Jlightgbm" weight: 0.375 }
      candidate_count: 12
      trial_count: 80
      failures { key: "out_of_time" value: 2 }
      first_model_after { seconds: 1 }
      row_count: 1200
      warnings: "The column id equals the target."
      blend: "arithmetic mean"
      outliers {
        scan: "outlierScans/s" adopted: OUTLIER_USE_DROP share: 0.375
        comparison {
          results { use: OUTLIER_USE_KEEP }
          results { use: OUTLIER_USE_DROP difference: 0.02 lower_bound: 0.01 upper_bound: 0.03 }
        }
      }
    }
    report { uri: "s3://aimass/report.html" size_bytes: 4096 sha256: "a" }
    leaderboard { uri: "s3://aimass/leaderboard" size_bytes: 2048 sha256: "b" }
    """,
    tuner_pb2.TuningRun(),
)
CANDIDATES = text_format.Parse(
    """
    candidates {
      number: 7 family: "linear" origin: CANDIDATE_ORIGIN_SURROGATE fold_count: 8 score: 0.0512
      duration { seconds: 2 } weight: 0.625
      settings { key: "strength" value { number: 0.125 } }
      settings { key: "iterations" value { integer: 300 } }
      settings { key: "balanced" value { flag: true } }
      settings { key: "prepare.categories" value { text: "one_hot" } }
    }
    candidates {
      number: 9 family: "gaussian_process" origin: CANDIDATE_ORIGIN_PORTFOLIO
      failure: "out of memory"
    }
    """,
    tuner_pb2.ListCandidatesResponse(),
)


@pytest.fixture
def suite() -> MagicMock:
    """Stubs that answer what a test says."""
    clients = MagicMock()
    clients.tuning.GetTuningRun.return_value = TUNING
    clients.tuning.CreateTuningRun.return_value = TUNING
    clients.tuning.WatchTuningRun.return_value = iter(())
    answer = transfer_pb2.CreateArtifactUrlResponse(url="http://store/x?signed")
    clients.transfer.CreateArtifactUrl.return_value = answer
    return clients


def test_what_was_found_is_shown_whole(cli: CliContext, suite: MagicMock) -> None:
    """Score and floors, effort, parts of the model, warnings; names steer nothing."""
    call(tunings.show, cli, "t1")
    shown = shown_by(cli)
    for words in (
        "tuningRuns/t1  SUCCEEDED  42 s",
        "of species in datasets/iris/versions/3: models/iris/versions/1",
        "It is clearly better than the floors.",
        "log_loss 0.05123 ± 0.012 out of fold on 1,200 rows, 0.061 on the test rows",
        "floors: hist_gradient_boosting 0.19, random_forest 0.21",
        "12 candidates in 80 fits; without a score: out of time 2; a first model after 1.00 s",
        "blend: arithmetic mean",
        "warning: The column id equals the target.",
        "linear",
        "0.625",
        "report: s3://aimass/report.html, 4.0 kB",
        "aimass open tuningRuns/t1",
    ):
        assert words in shown
    assert "\033" not in shown
    assert suite.tuning.GetTuningRun.call_args.args[0].name == "tuningRuns/t1"


def test_a_search_that_was_followed_ends_with_what_it_found(cli: CliContext) -> None:
    """Nobody has to ask for the result of what they just waited for."""
    print_outcome(TUNING, RunProgress(), cli.console)
    assert shown_by(cli).startswith("SUCCEEDED in 42 s: models/iris/versions/1\nIt is clearly")


def test_a_cancelled_search_shows_the_best_so_far(cli: CliContext) -> None:
    """Whoever has seen enough gets the model that there is."""
    cancelled = tuner_pb2.TuningRun()
    cancelled.CopyFrom(TUNING)
    cancelled.status.state = run_pb2.RUN_STATE_CANCELLED
    print_outcome(cancelled, RunProgress(), cli.console)
    assert shown_by(cli).startswith("CANCELLED after 42 s: models/iris/versions/1\nIt is clearly")


def test_what_marks_were_worth_is_shown(cli: CliContext) -> None:
    """The decision, its share of the model, and the gain with its interval."""
    call(tunings.show, cli, "t1")
    line = "outliers: outlierScans/s, adopted DROP, 38 % of the model; gain in log_loss: DROP 0.02"
    assert f"{line} (0.01 to 0.03)" in " ".join(shown_by(cli).split())


def test_a_search_that_failed_says_why(cli: CliContext, suite: MagicMock) -> None:
    """Whoever looks for what was found learns why nothing was."""
    status = run_pb2.RunStatus(state=run_pb2.RUN_STATE_FAILED)
    status.error.message = "The target is constant."
    failed = tuner_pb2.TuningRun(name="tuningRuns/t1", status=status)
    suite.tuning.GetTuningRun.return_value = failed
    call(tunings.show, cli, "t1")
    assert "tuningRuns/t1 failed after 0 s: The target is constant." in shown_by(cli)


def test_a_search_is_started_with_short_names(cli: CliContext, suite: MagicMock) -> None:
    """Names, numbers and words go into the request as the contract wants them."""
    with pytest.raises(typer.Exit) as ended:
        call(
            tunings.tune,
            cli,
            "iris",
            target=["species"],
            metric="accuracy",
            budget=7.5,
            cores=2,
            family=["linear"],
            model="flowers",
            kind="multiclass",
            left_out=["id"],
            portfolio="none",
            continue_from="t0",
            outliers="iris-scan",
        )
    assert ended.value.exit_code == 0
    request = suite.tuning.CreateTuningRun.call_args.args[0]
    assert request.tuning_run.spec == text_format.Parse(
        """
        dataset_version: "datasets/iris/versions/latest" model: "models/flowers"
        targets: "species" kind: PROBLEM_KIND_MULTICLASS metric: "accuracy"
        budget { seconds: 7 nanos: 500000000 } concurrency: 2 families: "linear" left_out: "id"
        portfolio: PORTFOLIO_USE_NONE continue_from: "tuningRuns/t0"
        outliers { scan: "outlierScans/iris-scan" }
        """,
        tuner_pb2.TuningSpec(),
    )
    assert request.request_id
    assert "It is clearly better" in shown_by(cli)
    with pytest.raises(CliError, match="--kind: colours is none of binary, multiclass"):
        call(tunings.tune, cli, "iris", kind="colours")


def test_forecasts_are_asked_for_by_their_horizon(cli: CliContext, suite: MagicMock) -> None:
    """Columns and seasons go with it; what is missing the service asks for."""
    more = {"time": "day", "series": ["shop"], "known": ["price"], "season": [7]}
    call(tunings.tune, cli, "sales", horizon=14, detach=True, **more)
    spec = suite.tuning.CreateTuningRun.call_args.args[0].tuning_run.spec
    assert spec.forecast == tuner_pb2.ForecastSpec(
        time_column="day",
        series_columns=["shop"],
        horizon=14,
        season_lengths=[7],
        known_columns=["price"],
    )


def test_what_was_not_given_is_left_to_the_service(cli: CliContext, suite: MagicMock) -> None:
    """Defaults are known in one place; a search that is left alone is not watched."""
    call(tunings.tune, cli, "iris/2", detach=True)
    spec = suite.tuning.CreateTuningRun.call_args.args[0].tuning_run.spec
    assert spec == tuner_pb2.TuningSpec(dataset_version="datasets/iris/versions/2")
    assert not suite.tuning.WatchTuningRun.called


def test_candidates_are_listed_over_pages(cli: CliContext, suite: MagicMock) -> None:
    """The best first with their settings; what failed with the reason; no more than asked for."""
    more = tuner_pb2.ListCandidatesResponse(next_page_token="next")
    more.candidates.extend(CANDIDATES.candidates)
    suite.tuning.ListCandidates.side_effect = [more, CANDIDATES]
    call(tunings.candidates, cli, "t1", most=3)
    shown = shown_by(cli)
    settings = "balanced yes, iterations 300, prepare.categories one_hot, strength 0.125"
    assert shown.count(settings) == 2
    assert shown.count("out of memory") == 1
    assert "surrogate" in shown and "0.0512" in shown
    assert suite.tuning.ListCandidates.call_args.args[0].name == "tuningRuns/t1"


def test_families_are_listed(cli: CliContext, suite: MagicMock) -> None:
    """Who chooses families sees their names and what they learn."""
    kinds = [tuner_pb2.PROBLEM_KIND_BINARY, tuner_pb2.PROBLEM_KIND_REGRESSION]
    family = tuner_pb2.Family(name="linear", kinds=kinds)
    suite.tuning.ListFamilies.return_value = tuner_pb2.ListFamiliesResponse(families=[family])
    call(tunings.families, cli)
    assert "binary, regression" in shown_by(cli)


def test_what_is_known_of_other_data_is_listed(cli: CliContext, suite: MagicMock) -> None:
    """Over pages: where it comes from, what the data are like, and what was best there."""
    entry = text_format.Parse(
        """
        source: "tuningRuns/t1" kind: PROBLEM_KIND_BINARY metric: "roc_auc"
        meta_features { key: "log_rows" value: 6.9078 }
        scores { family: "linear" settings { key: "C" value { number: 0.5 } } }
        """,
        tuner_pb2.PortfolioEntry(),
    )
    first = tuner_pb2.ListPortfolioResponse(entries=[entry], next_page_token="next")
    shipped = tuner_pb2.PortfolioEntry(source="iris")
    last = tuner_pb2.ListPortfolioResponse(entries=[shipped, shipped])
    suite.tuning.ListPortfolio.side_effect = [first, last]
    call(tunings.portfolio, cli, most=2)
    shown = shown_by(cli)
    assert "tuningRuns/t1" in shown and "1000" in shown and "C 0.5" in shown
    assert shown.count("iris") == 1


def test_report_and_leaderboard_are_saved(
    cli: CliContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each under the name that its reader expects."""
    saved = {}

    def save(cli: CliContext, artifact: object, path: Path) -> None:
        saved[path.name] = artifact

    monkeypatch.setattr(run_files, "download_with_bar", save)
    call(tunings.download, cli, "t1", to=tmp_path / "t1")
    assert saved == {"report.html": TUNING.report, "leaderboard.parquet": TUNING.leaderboard}


def test_the_report_opens_in_the_browser(
    cli: CliContext, suite: MagicMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of a search is found by its name."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    call(opening.open_, cli, "tuningRuns/t1")
    assert opened == ["http://store/x?signed"] == shown_by(cli).split()
    assert suite.transfer.CreateArtifactUrl.call_args.args[0].artifact == TUNING.report
