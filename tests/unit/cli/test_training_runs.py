"""What the command does with training runs: shows how fast they were, does harm to them."""

import io
from unittest.mock import MagicMock

import pytest
from google.protobuf import text_format

from aimass.trainer.v1 import trainer_pb2
from common.cli import program, runs
from common.cli.context import CliContext, make_console
from common.cli.errors import CliError
from common.cli.follow import print_outcome
from common.cli.progress import RunProgress
from tests.unit.cli.support import shown_by, typer_context

RUN = text_format.Parse(
    r"""
    name: "trainingRuns/t1"
    status { state: RUN_STATE_SUCCEEDED start_time { seconds: 100 } end_time { seconds: 142 } }
    model_version: "models/iris/versions/1"
    estimate {
      duration { seconds: 20 } worker_memory_bytes: 629145600 slots: 2 steps: 1200
      calibration: 1.25
    }
    performance {
      precision: PRECISION_BF16 rows_per_second: 12300 rows_per_second_per_worker: 6150
      worker_memory_bytes: 524288000 wait_share: 0.08 commit_share: 0.02 skipped_steps: 1
      training_duration { seconds: 25 } estimate_error { duration: -0.2 worker_memory: 0.2 }
    }
    recoveries { total { count: 1 faults: 2 total_pause { seconds: 1 } steps_lost: 7 } }
    """,
    trainer_pb2.TrainingRun(),
)
TOLD = (
    "estimated: 20 s, 1,200 steps, 2 slots, 600.0 MB a worker, times 1.25 by earlier runs",
    "took: 25 s (estimate 20% too low), 500.0 MB a worker (estimate 20% too high)",
    "speed: 12,300 rows a second, 6150 a worker, bf16, 8% of steps waiting for other workers, "
    "2% of the time held up by commits, 1 step skipped",
    "recovered: 2 faults, 1.00 s without steps, 7 steps done again",
)


@pytest.fixture
def suite() -> MagicMock:
    """Stubs that answer with that run."""
    clients = MagicMock()
    clients.training.GetTrainingRun.return_value = RUN
    clients.training.InjectFault.return_value = trainer_pb2.InjectFaultResponse(
        done="worker 1 on agent-2 is killed"
    )
    return clients


def test_what_a_run_took_stands_beside_what_was_foretold(cli: CliContext) -> None:
    """Protects who looks back at a run, or waits for it: one line each, before the whole record."""
    runs.show(typer_context(cli), "t1")
    shown = shown_by(cli)
    assert shown.splitlines()[1:5] == list(TOLD)
    assert "model_version: models/iris/versions/1" in shown
    console = make_console(io.StringIO())
    print_outcome(RUN, RunProgress(), console)
    assert isinstance(console.file, io.StringIO)
    assert all(line in console.file.getvalue() for line in TOLD)


def test_what_is_not_known_is_left_out(cli: CliContext) -> None:
    """A run that has not ended has an estimate alone; a bounded one's duration is not judged."""
    going = trainer_pb2.TrainingRun()
    going.CopyFrom(RUN)
    for field in ("performance", "recoveries"):
        going.ClearField(field)
    going.estimate.calibration = 1
    cli.clients.training.GetTrainingRun.return_value = going  # type: ignore[attr-defined]
    runs.show(typer_context(cli), "t1")
    line = "estimated: 20 s, 1,200 steps, 2 slots, 600.0 MB a worker"
    assert shown_by(cli).splitlines()[1:3] == [line, "name: trainingRuns/t1"]


def test_a_fault_is_asked_for_by_its_words(cli: CliContext) -> None:
    """Every option reaches the request; what was done is said; the id alone is enough."""
    runs.inject(typer_context(cli), "t1", "slow-worker", rank=1, duration=0.5)
    request = cli.clients.training.InjectFault.call_args.args[0]  # type: ignore[attr-defined]
    expected = trainer_pb2.InjectFaultRequest(
        name="trainingRuns/t1", kind=trainer_pb2.FAULT_KIND_SLOW_WORKER, rank=1
    )
    expected.duration.FromMilliseconds(500)
    assert request == expected
    runs.inject(typer_context(cli), "t1", "KILL_AGENT", agent="agent-2")
    request = cli.clients.training.InjectFault.call_args.args[0]  # type: ignore[attr-defined]
    assert request.agent == "agent-2"
    assert not request.HasField("rank") and not request.HasField("duration")
    assert "worker 1 on agent-2 is killed" in shown_by(cli)
    assert "aimass runs watch trainingRuns/t1" in shown_by(cli)


def test_every_fault_has_a_word_and_other_words_are_refused(
    cli: CliContext, capsys: pytest.CaptureFixture[str]
) -> None:
    """Protects from a kind of fault that the command does not know, and from guesses."""
    for name in trainer_pb2.FaultKind.keys()[1:]:
        word = name.removeprefix("FAULT_KIND_").lower().replace("_", "-")
        runs.inject(typer_context(cli), "t1", word)
    with pytest.raises(CliError, match="unspecified is no fault"):
        runs.inject(typer_context(cli), "t1", "unspecified")
    assert program.run(["runs", "inject", "--help"]) == 0
    assert "kill-coordinator" in capsys.readouterr().out
