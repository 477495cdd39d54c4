"""Faults that an admin injects into a live run do to it what their name says."""

from collections.abc import Iterator

import grpc
import pytest

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, run_pb2
from common.cli import program
from common.cli.connection import VARIABLES
from common.testing.suite import RunningSuite, running_suite
from tests.e2e.faults import assert_accounted, assert_whole, begun, specification

pytestmark = pytest.mark.slow

SURVIVED = {
    "KILL_WORKER": event_pb2.CHANGE_CAUSE_WORKER_DIED,
    "FREEZE_WORKER": event_pb2.CHANGE_CAUSE_WORKER_FROZEN,
    "KILL_AGENT": event_pb2.CHANGE_CAUSE_AGENT_LOST,
    "KILL_COORDINATOR": event_pb2.CHANGE_CAUSE_COORDINATOR_LOST,
    "CUT_LINK": event_pb2.CHANGE_CAUSE_AGENT_LOST,
    "SLOW_WORKER": None,
}


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """Yields a suite whose operator allows faults."""
    allowed = {"AIMASS_TRAINER_FAULT_INJECTION": "true"}
    with running_suite(tmp_path_factory.mktemp("breakable"), environment=allowed) as running:
        yield running


@pytest.fixture(scope="module")
def version(breakable: RunningSuite, table: bytes) -> str:
    """Returns a data set version of that suite."""
    return breakable.import_dataset("e2e-table", "table.csv", table)


def fault(run: str, kind: str) -> trainer_pb2.InjectFaultRequest:
    """A fault of one second, of rank 1 where it hits a worker."""
    value = trainer_pb2.FaultKind.Value(f"FAULT_KIND_{kind}")
    request = trainer_pb2.InjectFaultRequest(name=run, kind=value)
    if kind.endswith(("_WORKER", "_BATCH")):
        request.rank = 1
    if kind in ("CUT_LINK", "SLOW_WORKER"):
        request.duration.FromSeconds(1)
    return request


def by_command(suite: RunningSuite, fault: trainer_pb2.InjectFaultRequest) -> list[str]:
    """Returns the command line that asks for a fault."""
    kind = trainer_pb2.FaultKind.Name(fault.kind).removeprefix("FAULT_KIND_").lower()
    words = ["--home", str(suite.suite.home.path), "runs", "inject", fault.name, kind]
    if fault.HasField("rank"):
        words += ["--rank", str(fault.rank)]
    return [*words, "--duration", "1"] if fault.HasField("duration") else words


@pytest.mark.parametrize("kind", SURVIVED)
def test_run_survives_an_injected_fault(
    breakable: RunningSuite,
    version: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run ends well, and its events say what it cost and who wanted it, by which command."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    run = begun(breakable, specification(version))
    assert program.run(by_command(breakable, fault(run.name, kind))) == 0
    done, _ = capsys.readouterr().out.splitlines()
    assert done
    events = run.events + list(run.stream)
    ended = breakable.get_run(run.name)
    assert_whole(events, ended)
    assert_accounted(events, ended, SURVIVED[kind])
    (line,) = [event.log_line for event in events if "injected" in event.log_line.text]
    assert line.text == f"fault injected by local: {done}"
    assert line.severity == event_pb2.SEVERITY_WARNING


def test_batch_of_nan_ends_the_run(breakable: RunningSuite, version: str) -> None:
    """A loss that is no number is no bad luck: the run fails at once, and names the step."""
    run = begun(breakable, specification(version))
    breakable.training.InjectFault(fault(run.name, "NAN_BATCH"))
    for _ in run.stream:
        pass
    ended = breakable.get_run(run.name)
    assert ended.status.state == run_pb2.RUN_STATE_FAILED
    assert "became nan at step" in ended.status.error.message
    assert not ended.recoveries.total.count, "it is not tried again"


def test_who_is_not_there_cannot_be_broken(breakable: RunningSuite, version: str) -> None:
    """A fault that hits nobody says so, and the run that ended is left alone."""
    run = begun(breakable, specification(version))
    request = fault(run.name, "KILL_WORKER")
    request.rank = 5
    with pytest.raises(grpc.RpcError, match="no worker 5"):
        breakable.training.InjectFault(request)
    for _ in run.stream:
        pass
    assert not breakable.get_run(run.name).recoveries.total.count
    with pytest.raises(grpc.RpcError, match="no coordinator"):
        breakable.training.InjectFault(fault(run.name, "KILL_WORKER"))
