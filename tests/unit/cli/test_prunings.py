"""What the command does with prunings: starts them, shows what they found, applies points."""

import webbrowser
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import typer
from google.protobuf import text_format

from aimass.catalog.v1 import transfer_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.type.v1 import run_pb2
from common.cli import opening, prunings, run_files
from common.cli.context import CliContext
from common.cli.errors import CliError
from common.cli.follow import print_outcome
from common.cli.progress import RunProgress
from common.cli.pruning_views import recommendation
from tests.unit.cli.support import call, shown_by

PRUNING = text_format.Parse(
    r"""
    name: "pruningRuns/p1"
    spec { model_version: "models/iris/versions/1" dataset_version: "datasets/iris/versions/3" }
    model_version: "models/iris/versions/2"
    status {
      state: RUN_STATE_SUCCEEDED
      start_time { seconds: 100 }
      end_time { seconds: 142 }
    }
    summary {
      recommended: "fewer_members_2"
      is_within: true
      reasons: "fewer_members_2 has 7.50 times less latency."
      reasons: "\033[2Jfewer_members has only 2.10 times less latency."
      gain: 7.5
      original {
        name: "original" score: 0.991 latency { nanos: 15000000 } latency_gain: 1 size_bytes: 6144
        size_gain: 1 memory_bytes: 4096 memory_gain: 1 is_on_front: true is_within: true
      }
      point {
        name: "fewer_members_2" parent: "original" method: "fewer_members" score: 0.9876
        loss: 0.0034 loss_low: -0.001 loss_high: 0.0081 latency { nanos: 2000000 }
        latency_gain: 7.5 size_bytes: 2048 size_gain: 3 memory_bytes: 4096 memory_gain: 1
        is_on_front: true is_within: true
      }
      metric: "roc_auc"
      point_count: 4
      choosing_row_count: 1200
      judging_row_count: 2400
      notes: "smaller_graph does not fit."
    }
    report { uri: "s3://aimass/report.html" size_bytes: 4096 sha256: "a" }
    front { uri: "s3://aimass/front" size_bytes: 2048 sha256: "b" }
    """,
    pruner_pb2.PruningRun(),
)


@pytest.fixture
def suite() -> MagicMock:
    """Stubs that answer what a test says."""
    clients = MagicMock()
    clients.pruning.GetPruningRun.return_value = PRUNING
    clients.pruning.CreatePruningRun.return_value = PRUNING
    clients.pruning.WatchPruningRun.return_value = iter(())
    answer = transfer_pb2.CreateArtifactUrlResponse(url="http://store/x?signed")
    clients.transfer.CreateArtifactUrl.return_value = answer
    return clients


def test_what_was_found_is_shown_whole(cli: CliContext, suite: MagicMock) -> None:
    """Reasons, the recommended point beside the original, notes, places; names steer nothing."""
    call(prunings.show, cli, "p1")
    shown = shown_by(cli)
    for words in (
        "pruningRuns/p1  SUCCEEDED  42 s",
        "of models/iris/versions/1 on datasets/iris/versions/3: models/iris/versions/2",
        "fewer_members_2 has 7.50 times less latency.",
        "4 points, chosen by 1,200 rows, judged on 2,400",
        "note: smaller_graph does not fit.",
        "roc auc",
        "0.0034 (-0.001 to 0.0081)",
        "15 ms (1.00)",
        "2 ms (7.50)",
        "2.0 kB (3.00)",
        "on the front, within",
        "report: s3://aimass/report.html, 4.0 kB",
        "front: s3://aimass/front, 2.0 kB",
        "aimass open pruningRuns/p1",
    ):
        assert words in shown
    assert "\033" not in shown
    assert suite.pruning.GetPruningRun.call_args.args[0].name == "pruningRuns/p1"


def test_a_pruning_that_was_followed_ends_with_what_is_recommended(cli: CliContext) -> None:
    """Whoever waited reads last which point to take and how much smaller it is."""
    print_outcome(PRUNING, RunProgress(), cli.console)
    lines = shown_by(cli).splitlines()
    assert lines[0] == "SUCCEEDED in 42 s: models/iris/versions/2"
    assert lines[-1] == "recommended: fewer_members_2, 7.50 times faster, 3.00 times smaller"


def test_a_bound_that_nothing_meets_is_told(cli: CliContext) -> None:
    """Nobody takes the nearest point for one that keeps the bound, nor the original for a gain."""
    summary = pruner_pb2.PruningSummary()
    summary.CopyFrom(PRUNING.summary)
    summary.is_within = False
    assert recommendation(summary).startswith("nothing is within; nearest: fewer_members_2, 7.50")
    original = pruner_pb2.PruningSummary(
        recommended="original", is_within=True, original=summary.original, point=summary.original
    )
    assert recommendation(original) == "recommended: the model as it was"
    succeeded = run_pb2.RunStatus(state=run_pb2.RUN_STATE_SUCCEEDED)
    run = pruner_pb2.PruningRun(status=succeeded, summary=original)
    print_outcome(run, RunProgress(), cli.console)
    assert shown_by(cli).count("15 ms (1.00)") == 1


def test_a_pruning_that_failed_says_why(cli: CliContext, suite: MagicMock) -> None:
    """Whoever looks for what was found learns why nothing was."""
    status = run_pb2.RunStatus(state=run_pb2.RUN_STATE_FAILED)
    status.error.message = "The model has NaN weights."
    failed = pruner_pb2.PruningRun(name="pruningRuns/p1", status=status)
    suite.pruning.GetPruningRun.return_value = failed
    call(prunings.show, cli, "p1")
    assert "pruningRuns/p1 failed after 0 s: The model has NaN weights." in shown_by(cli)


def test_a_pruning_is_started_with_short_names(cli: CliContext, suite: MagicMock) -> None:
    """Names, numbers and words go into the request as the contract wants them."""
    with pytest.raises(typer.Exit) as ended:
        call(
            prunings.create,
            cli,
            "iris@champion",
            data="iris/3",
            gain="size",
            metric="roc_auc",
            max_loss=0.0,
            confidence=0.9,
            method=["fewer_columns"],
            runtime="native",
            batch_size=1,
            budget=12.5,
            into="small",
            seed=0,
            epochs=2,
            workers=0,
            importance="magnitude",
            keep_layer=["head"],
            compare=False,
        )
    assert ended.value.exit_code == 0
    request = suite.pruning.CreatePruningRun.call_args.args[0]
    assert request.pruning_run.spec == text_format.Parse(
        """
        model_version: "models/iris@champion" dataset_version: "datasets/iris/versions/3"
        model: "models/small" gain: GAIN_SIZE metric: "roc_auc" max_loss: 0 confidence: 0.9
        methods: "fewer_columns" target { runtime: PRUNING_RUNTIME_NATIVE batch_size: 1 }
        budget { seconds: 12 nanos: 500000000 } seed: 0 fine_tuning { epochs: 2 workers: 0 }
        importance: IMPORTANCE_MAGNITUDE kept_layers: "head" compare: false
        """,
        pruner_pb2.PruningSpec(),
    )
    assert request.request_id
    assert "recommended: fewer_members_2" in shown_by(cli)
    with pytest.raises(CliError, match="--gain: colours is none of latency, size, memory"):
        call(prunings.create, cli, "iris", gain="colours")


def test_what_was_not_given_is_left_to_the_service(cli: CliContext, suite: MagicMock) -> None:
    """Defaults are known in one place; a pruning that is left alone is not watched."""
    call(prunings.create, cli, "iris/2", detach=True)
    spec = suite.pruning.CreatePruningRun.call_args.args[0].pruning_run.spec
    assert spec == pruner_pb2.PruningSpec(model_version="models/iris/versions/2")
    assert not suite.pruning.WatchPruningRun.called


def test_prunings_are_listed(cli: CliContext, suite: MagicMock) -> None:
    """Those that found something with what and how much; those under way without a gain."""
    waiting = pruner_pb2.PruningRun(name="pruningRuns/p2")
    waiting.spec.model_version = "models/iris/versions/9"
    answer = pruner_pb2.ListPruningRunsResponse(pruning_runs=[waiting, PRUNING])
    suite.pruning.ListPruningRuns.return_value = answer
    call(prunings.list_, cli, filter_="labels.team=vision", most=5)
    lines = [line.split() for line in shown_by(cli).splitlines()[-2:]]
    assert [line[:3] for line in lines] == [
        ["pruningRuns/p2", "UNSPECIFIED", "models/iris/versions/9"],
        ["pruningRuns/p1", "SUCCEEDED", "models/iris/versions/1"],
    ]
    assert lines[0][3:] == [] and lines[1][3:] == ["fewer_members_2", "7.50"]
    asked = suite.pruning.ListPruningRuns.call_args.args[0]
    assert (asked.filter, asked.page_size) == ("labels.team=vision", 5)


def test_points_are_listed_over_pages(cli: CliContext, suite: MagicMock) -> None:
    """In the order of the service, and no more than asked for."""
    points = [PRUNING.summary.point, PRUNING.summary.original]
    first = pruner_pb2.ListPointsResponse(points=points, next_page_token="next")
    suite.pruning.ListPoints.side_effect = [first, pruner_pb2.ListPointsResponse(points=points)]
    call(prunings.points, cli, "p1", most=3)
    shown = shown_by(cli)
    assert shown.count("2 ms (7.50)") == 2 and shown.count("15 ms (1.00)") == 1
    assert suite.pruning.ListPoints.call_args.args[0].name == "pruningRuns/p1"


def test_a_point_becomes_a_model_version(cli: CliContext, suite: MagicMock) -> None:
    """The version that came of it is named, so that it can be used at once."""
    made = pruner_pb2.ApplyPointResponse(model_version="models/iris/versions/4")
    suite.pruning.ApplyPoint.return_value = made
    call(prunings.apply, cli, "p1", "fewer_columns")
    asked = pruner_pb2.ApplyPointRequest(name="pruningRuns/p1", point="fewer_columns")
    assert suite.pruning.ApplyPoint.call_args.args[0] == asked
    assert shown_by(cli) == "models/iris/versions/4\n"


def test_methods_are_listed(cli: CliContext, suite: MagicMock) -> None:
    """Who chooses methods sees their names and the models that they fit."""
    method = pruner_pb2.PruningMethod(
        name="fewer_members", description="Keeps few.", formats=["ONNX", "SKOPS"]
    )
    suite.pruning.ListMethods.return_value = pruner_pb2.ListMethodsResponse(methods=[method])
    call(prunings.methods, cli)
    assert "ONNX, SKOPS" in shown_by(cli) and "Keeps few." in shown_by(cli)


def test_report_and_front_are_saved(
    cli: CliContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each under the name that its reader expects."""
    saved = {}

    def save(cli: CliContext, artifact: object, path: Path) -> None:
        saved[path.name] = artifact

    monkeypatch.setattr(run_files, "download_with_bar", save)
    call(prunings.download, cli, "p1", to=tmp_path / "p1")
    assert saved == {"report.html": PRUNING.report, "front.parquet": PRUNING.front}


def test_the_report_opens_in_the_browser(
    cli: CliContext, suite: MagicMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of a pruning is found by its name."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    call(opening.open_, cli, "pruningRuns/p1")
    assert opened == ["http://store/x?signed"] == shown_by(cli).split()
    assert suite.transfer.CreateArtifactUrl.call_args.args[0].artifact == PRUNING.report
