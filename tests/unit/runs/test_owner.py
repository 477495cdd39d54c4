"""One attempt at a run, on a store in memory."""

from collections.abc import Iterator

import pytest

from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.errors import FencedError
from common.runs.errors import RunCancelledError
from common.runs.owner import RunOwner
from common.testing.runs_contract import Run, Runs
from common.testing.sample_job import KIND

NAME = KIND.name_of("r")


@pytest.fixture
def runs() -> Runs:
    """A run that waits."""
    runs = Runs(MemoryStore())
    runs.create("r")
    return runs


@pytest.fixture
def owner(runs: Runs) -> Iterator[RunOwner[Run]]:
    """Its first attempt."""
    owner = RunOwner.acquire(KIND, NAME, runs.store)
    yield owner
    owner.abandon()


def test_who_lost_a_run_is_told_how(runs: Runs, owner: RunOwner[Run]) -> None:
    """That a run has ended is another cause than that it was taken over."""

    def take_over(run: Run) -> Run:
        run.status.attempt = 2
        return run

    runs.records.update(NAME, Run, take_over)
    with pytest.raises(FencedError, match=f"Attempt 2 owns {NAME}, this is 1"):
        owner.update(lambda run: None)
    runs.set_state(NAME, run_pb2.RUN_STATE_FAILED)
    with pytest.raises(FencedError, match=f"{NAME} has ended"):
        owner.update(lambda run: None)


def test_a_cancelled_run_keeps_what_was_found_by_then(runs: Runs, owner: RunOwner[Run]) -> None:
    """Its result is written between the request and the end, which the executor publishes."""
    runs.set_state(NAME, run_pb2.RUN_STATE_CANCELLING)
    with pytest.raises(RunCancelledError):
        owner.succeed()
    owner.update(lambda run: run.labels.update(found="something"))
    owner.abandon()
    closing = RunOwner.acquire(KIND, NAME, runs.store, closing="All processes are gone.")
    closing.publish_cancelled()
    closing.abandon()
    run = runs.records.get(NAME, Run).resource
    assert run.status.state == run_pb2.RUN_STATE_CANCELLED
    assert run.labels["found"] == "something"
