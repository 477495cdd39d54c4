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
    AFTERMATH,
    MOST_RECOVERIES,
    assert_accounted,
    assert_whole,
    begun,
    follow_until,
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
    run = begun(brittle, specification(version))
    frozen = brittle.job(run.name) if part == "coordinator" else brittle.supervised(part)
    freeze(frozen)
    try:
        events = run.events + list(run.stream)
        ended = brittle.get_run(run.name)
        assert_whole(events, ended)
        assert_accounted(events, ended, CAUSES[part])
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
    spec.epochs, spec.batch_size = 100, 32
    spec.checkpoint_interval.FromSeconds(1)
    name = begun(brittle, spec).name
    until_checkpoint(brittle, name)
    for process in brittle.processes():
        with suppress(psutil.NoSuchProcess):
            kill(process)
    shutil.rmtree(Path("/dev/shm") / f"aimass-{brittle.state.suite}")
    events = list(brittle.watch_run(name))
    run = brittle.get_run(name)
    assert_whole(events, run, spec.epochs)
    starts = [event.log_line.text for event in events if "from step" in event.log_line.text]
    assert starts[0].endswith("from step 0") and not starts[-1].endswith("from step 0")
    assert run.status.attempt > 1
    total = run.recoveries.total
    assert total.count >= 1
    assert total.steps_lost < 50 * 50, "not from the beginning"
    assert total.worst_pause.ToMilliseconds() > 0


def test_account_of_faults_survives_the_coordinator(brittle: RunningSuite, version: str) -> None:
    """What the first attempt went through is in the result that the second one publishes."""
    spec = specification(version)
    spec.epochs *= 3  # two faults, one after the other, have to find it at work
    run = begun(brittle, spec)
    kill(brittle.workers("agent-1")[0])
    events = run.events + follow_until(
        run.stream, lambda event: event.membership_change.faults >= 1
    )
    kill(brittle.job(run.name))
    events += run.stream
    ended = brittle.get_run(run.name)
    assert_whole(events, ended, spec.epochs)
    causes = {each.cause for each in ended.recoveries.by_cause}
    expected = {event_pb2.CHANGE_CAUSE_WORKER_DIED, event_pb2.CHANGE_CAUSE_COORDINATOR_LOST}
    # On a busy host the world after a fault may be lost as well.
    assert expected <= causes <= {*expected, *AFTERMATH}
    assert 2 <= ended.recoveries.total.count <= MOST_RECOVERIES + 1
