"""Parts of a suite that stop without ending, and all parts that end at once."""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from aimass.type.v1 import event_pb2
from common.runs.kind import attempt_prefix
from common.testing.suite import RunningSuite, running_suite
from tests.e2e.faults import (
    assert_accounted,
    assert_whole,
    follow_until,
    follow_until_epoch,
    freeze,
    kill,
    specification,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CAUSES = {
    "agent-1": event_pb2.CHANGE_CAUSE_AGENT_LOST,
    "coordinator": event_pb2.CHANGE_CAUSE_COORDINATOR_LOST,
    "trainer": None,
    "catalog": None,
}


@pytest.fixture(scope="module")
def brittle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """Yields a suite that soon notices that the owner of a run does nothing any more."""
    soon = {"AIMASS_LEASE_TTL_SECONDS": "8"}
    with running_suite(tmp_path_factory.mktemp("brittle"), environment=soon) as running:
        yield running


@pytest.fixture(scope="module")
def version(brittle: RunningSuite, table: bytes) -> str:
    """Returns a data set version of that suite."""
    return brittle.import_dataset("e2e-table", "table.csv", table)


@pytest.mark.parametrize("part", CAUSES)
def test_run_survives_a_frozen_part(brittle: RunningSuite, version: str, part: str) -> None:
    """What stands still for ever is replaced or done without."""
    name = brittle.create_run(specification(version))
    stream = brittle.watch_run(name)
    events = follow_until_epoch(stream, 5)
    frozen = brittle.job(name) if part == "coordinator" else brittle.supervised(part)
    freeze(frozen)
    try:
        events += stream
        run = brittle.get_run(name)
        assert_whole(events, run)
        assert_accounted(events, run, CAUSES[part])
    finally:
        with suppress(psutil.NoSuchProcess):
            frozen.resume()


def until_checkpoint(suite: RunningSuite, run: str) -> None:
    """Waits for the first checkpoint of a run."""
    prefix = f"{attempt_prefix(run, 1)}checkpoints/"
    deadline = time.monotonic() + 60
    while not list(suite.store.list(prefix)):
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.05)  # the store tells nobody of new objects


def test_run_survives_the_death_of_everything(brittle: RunningSuite, version: str) -> None:
    """As when the power fails: hosts lose their memory, and the run goes on from its checkpoint."""
    spec = specification(version)
    spec.epochs, spec.batch_size = 200, 32
    spec.checkpoint_interval.FromSeconds(1)
    name = brittle.create_run(spec)
    stream = brittle.watch_run(name)
    follow_until_epoch(stream, 2)
    until_checkpoint(brittle, name)
    for process in brittle.processes():
        with suppress(psutil.NoSuchProcess):
            kill(process)
    shutil.rmtree(Path("/dev/shm") / f"aimass-{brittle.state.suite}")
    events = list(brittle.watch_run(name))
    run = brittle.get_run(name)
    assert_whole(events, run, spec.epochs)
    begun = [event.log_line.text for event in events if "from step" in event.log_line.text]
    assert begun[0].endswith("from step 0") and not begun[-1].endswith("from step 0")
    assert run.status.attempt > 1
    total = run.recoveries.total
    assert total.count >= 1
    assert total.steps_lost < 60 * 50, "not from the beginning"
    assert total.worst_pause.ToMilliseconds() > 0


def test_account_of_faults_survives_the_coordinator(brittle: RunningSuite, version: str) -> None:
    """What the first attempt went through is in the result that the second one publishes."""
    name = brittle.create_run(specification(version))
    stream = brittle.watch_run(name)
    events = follow_until_epoch(stream, 3)
    kill(brittle.workers("agent-1")[0])
    events += follow_until(stream, lambda event: event.membership_change.faults == 1)
    kill(brittle.job(name))
    events += stream
    run = brittle.get_run(name)
    assert_whole(events, run)
    assert run.recoveries.total.count == 2
    assert {each.cause for each in run.recoveries.by_cause} == {
        event_pb2.CHANGE_CAUSE_WORKER_DIED,
        event_pb2.CHANGE_CAUSE_COORDINATOR_LOST,
    }
