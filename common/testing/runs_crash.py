"""What tests of crashes in runs share: a store whose clock the test sets, owners, invariants."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.runs.kind import is_terminal, lease_key
from common.runs.lease import Lease
from common.runs.owner import RunOwner
from common.testing.runs_contract import Run, Runs
from common.testing.sample_job import KIND

Owner = RunOwner[trainer_pb2.TrainingRun]

RUN_ID = "crash"
NAME = KIND.name_of(RUN_ID)
TTL_SECONDS = 30.0


class StoreClock:
    """The clock of stores, in the test's hand."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Returns the time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._now += timedelta(seconds=seconds)

    def expire_leases(self) -> None:
        """Lets so much time pass that every lease has expired."""
        self.advance(2 * TTL_SECONDS)

    def new_store(self) -> MemoryStore:
        """Returns an empty store with this clock."""
        return MemoryStore(clock=self)


@contextlib.contextmanager
def owning(
    store: ObjectStore, *, closing: str = "", clock: Callable[[], float] = lambda: 0.0
) -> Iterator[Owner]:
    """Takes the run; ends the owner's threads in the end, whatever happened.

    Args:
        store: The store.
        closing: See `RunOwner.acquire`.
        clock: The owner's clock. It stands still by default: an owner that was frozen and does not
            know it, so that what keeps it from harm is the store alone.
    """
    lease = Lease(store, lease_key(NAME), owner="test", ttl=TTL_SECONDS, clock=clock)
    owner = RunOwner.acquire(KIND, NAME, store, lease=lease, closing=closing)
    try:
        # Each step waits for its events, so that every play does the same operations in order.
        owner.flush()
        yield owner
    finally:
        owner.abandon(fault=True)


def work(store: ObjectStore) -> None:
    """A whole attempt: three segments of events and a success."""
    with owning(store) as owner:
        for text in ("one", "two"):
            owner.log(text)
            owner.flush()
        owner.succeed(lambda run: run.metrics.update({"attempt": owner.attempt}))


def end_run(store: ObjectStore, clock: StoreClock) -> None:
    """Does what executor and jobs do, once the leases that were left behind have expired."""
    clock.expire_leases()
    run = Runs(store).get(NAME)
    if is_terminal(run):
        return
    if run.status.state != run_pb2.RUN_STATE_CANCELLING:
        work(store)
        return
    with owning(store, closing="All processes of the run are gone.") as owner:
        owner.publish_cancelled()


def check_taken_over(store: ObjectStore, clock: StoreClock) -> Run:
    """Asserts the invariants of a run before and after its end; returns it as it ended.

    One terminal state, which never changes; attempts that never fall; numbers without a gap.
    """
    runs = Runs(store)
    before = runs.get(NAME)
    runs.check_history(NAME)
    events = runs.events(NAME)
    end_run(store, clock)
    after = runs.get(NAME)
    runs.check_history(NAME)
    assert is_terminal(after)
    assert after == before if is_terminal(before) else after.status.attempt >= before.status.attempt
    assert runs.events(NAME)[: len(events)] == events, "what was stored stays"
    check_end(runs)
    return after


def check_end(runs: Runs) -> None:
    """Asserts that a run ended whole: its last event is its end, its result is one attempt's."""
    run = runs.get(NAME)
    events = runs.events(NAME)
    ends = [event for event in events if event.state_change.state == run.status.state]
    assert ends == events[-1:], "one end, and nothing after it"
    assert run.status.last_sequence == len(events)
    assert run.status.attempt == max(event.attempt for event in events)
    if run.status.state == run_pb2.RUN_STATE_SUCCEEDED:
        assert run.metrics["attempt"] == run.status.attempt
