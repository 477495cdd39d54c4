"""Every protocol of runs with a crash or a failure at every operation, then taken over.

Each loop plays dozens of cases: before, after, ambiguous and lost, for every operation.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

from aimass.type.v1 import event_pb2, run_pb2
from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.artifacts.retry import RetryingStore
from common.errors import FencedError, UnavailableError
from common.records import RecordStore
from common.runs.errors import RunCancelledError, RunEndedError
from common.runs.events import EventWriter, read_events
from common.runs.lease import LeaseHeldError
from common.runs.service import RunService
from common.runs.tail import Tails
from common.testing.crash import (
    FAILURES,
    Crash,
    CrashingStore,
    Moment,
    SimulatedCrash,
    crashes,
    every,
    once,
)
from common.testing.run_server import Kicks
from common.testing.runs_contract import Runs
from common.testing.runs_crash import (
    NAME,
    RUN_ID,
    Owner,
    StoreClock,
    check_end,
    check_taken_over,
    end_run,
    owning,
    work,
)
from common.testing.sample_job import KIND

EVENTS = 8

Protocol = Callable[[ObjectStore], object]


@pytest.fixture
def clock() -> StoreClock:
    return StoreClock()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets owners repeat at once what failed."""
    monkeypatch.setattr("common.runs.attempt._RETRY_SECONDS", 0.0)
    monkeypatch.setattr("common.runs.events._RETRY_SECONDS", 0.0)


def prepare_pending(store: ObjectStore) -> None:
    """A run that nobody has begun."""
    Runs(store).create(RUN_ID)


def prepare_released(store: ObjectStore) -> None:
    """A run that an attempt has begun and given up."""
    prepare_pending(store)
    with owning(store) as owner:
        owner.log("attempt one")
        owner.flush()


def prepare_dead(store: ObjectStore) -> None:
    """A run whose first attempt died and left its lease."""
    prepare_pending(store)
    dead = threading.Event()
    crashing = CrashingStore(store, lambda number: Moment.BEFORE if dead.is_set() else None)
    with pytest.raises(SimulatedCrash), owning(crashing) as owner:
        owner.log("attempt one")
        owner.flush()
        dead.set()


def prepare_cancelling(store: ObjectStore) -> None:
    """A run that was given up because somebody asked for a cancel."""
    prepare_released(store)
    cancel(store)


def cancel(store: ObjectStore) -> None:
    """A cancel request, as the service handles it."""
    records = RecordStore(store)

    async def call() -> None:
        tails = Tails(KIND, store, records)
        await RunService(KIND, records, tails, Kicks()).cancel(NAME)

    asyncio.run(call())


def fail(store: ObjectStore) -> None:
    """An attempt that fails."""
    with owning(store) as owner:
        owner.fail(UnavailableError("The catalog is away."))


def give_up(store: ObjectStore) -> None:
    """An attempt that ends without an end of the run."""
    with owning(store) as owner:
        owner.log("enough")
        owner.flush()


def close(store: ObjectStore) -> None:
    """The end of a cancelled run, as the executor publishes it."""
    with owning(store, closing="All processes of the run are gone.") as owner:
        owner.publish_cancelled()


def cancel_and_close(store: ObjectStore) -> None:
    """A cancel from request to end."""
    cancel(store)
    close(store)


def flush_events(store: ObjectStore, attempt: int = 2) -> None:
    """Many small segments by a writer of its own."""
    writer = EventWriter(store, NAME, attempt)
    try:
        for number in range(EVENTS):
            writer.emit(event_pb2.LogLine(text=f"{number}"))
            assert writer.flush()
    finally:
        writer.close()


def assert_honest(crash: Crash) -> None:
    """The caller of a protocol that went wrong is told so, or it went right all the same."""
    if crash.moment in FAILURES:
        assert crash.error is None or isinstance(crash.error, UnavailableError), crash
    else:
        # The thread that stores events dies first: then its owner hears of it.
        assert isinstance(crash.error, SimulatedCrash | FencedError | None), crash


CASES = [
    pytest.param(prepare_pending, work, id="begin, publish"),
    pytest.param(prepare_pending, give_up, id="begin, give up"),
    pytest.param(prepare_pending, fail, id="begin, fail"),
    pytest.param(prepare_pending, cancel, id="cancel before begin"),
    pytest.param(prepare_released, work, id="go on, publish"),
    pytest.param(prepare_dead, work, id="take over, publish"),
    pytest.param(prepare_dead, fail, id="take over, fail"),
    pytest.param(prepare_dead, cancel_and_close, id="cancel what died"),
    pytest.param(prepare_released, cancel_and_close, id="cancel what gave up"),
    pytest.param(prepare_cancelling, close, id="close"),
]


@pytest.mark.parametrize(("prepare", "protocol"), CASES)
def test_run_ends_once_whatever_crashes(
    clock: StoreClock, prepare: Protocol, protocol: Protocol
) -> None:
    """Protects runs from a crash at any point: taken over, each ends once, with a whole history."""

    def prepare_expired(store: ObjectStore) -> None:
        prepare(store)
        clock.expire_leases()

    cases = 0
    for crash in crashes(prepare_expired, protocol, make_store=clock.new_store):
        assert_honest(crash)
        check_taken_over(crash.store, clock)
        cases += 1
    assert cases >= 8


def _play_interrupted(
    clock: StoreClock, protocol: Protocol, interrupt: Protocol, at: int
) -> tuple[MemoryStore, bool]:
    """Plays a protocol on a pending run; somebody else acts before its operation `at`.

    Returns:
        The store, and whether the protocol came to an end undisturbed.
    """
    store = clock.new_store()
    prepare_pending(store)

    def plan(number: int) -> Moment | None:
        if number == at:
            clock.expire_leases()
            interrupt(store)
        return None

    try:
        protocol(CrashingStore(store, plan))
    except (FencedError, LeaseHeldError, RunEndedError, RunCancelledError):
        return store, False
    return store, True


def _count_operations(clock: StoreClock, protocol: Protocol) -> int:
    store = clock.new_store()
    prepare_pending(store)
    counting = CrashingStore(store)
    protocol(counting)
    return len(counting.operations)


@pytest.mark.parametrize("protocol", [work, fail])
def test_stale_owner_adds_nothing_to_a_run_that_another_ended(
    clock: StoreClock, protocol: Protocol
) -> None:
    """Protects the end of a run from an owner that slept through the whole of another attempt."""
    ended: list[bytes] = []

    def interrupt(store: ObjectStore) -> None:
        end_run(store, clock)
        ended.append(Runs(store).get(NAME).SerializeToString(deterministic=True))

    for at in range(1, _count_operations(clock, protocol) + 1):
        store, is_undisturbed = _play_interrupted(clock, protocol, interrupt, at)
        runs = Runs(store)
        assert runs.get(NAME).SerializeToString(deterministic=True) == ended[-1], at
        runs.check_history(NAME)
        check_end(runs)
        assert not is_undisturbed or runs.get(NAME).status.attempt == 1, at


@pytest.mark.parametrize("protocol", [work, fail])
def test_stale_owner_does_not_disturb_its_successor(clock: StoreClock, protocol: Protocol) -> None:
    """Protects an attempt at work from the owner that it has replaced, at whatever point."""
    for at in range(1, _count_operations(clock, protocol) + 1):
        with ExitStack() as stack:
            successors: list[Owner] = []

            def interrupt(
                store: ObjectStore, stack: ExitStack = stack, successors: list[Owner] = successors
            ) -> None:
                with suppress(RunEndedError):
                    successors.append(stack.enter_context(owning(store)))

            store, is_undisturbed = _play_interrupted(clock, protocol, interrupt, at)
            assert is_undisturbed != bool(successors), at
            for owner in successors:
                owner.log("after the stale one")
                owner.succeed(lambda run: run.metrics.update({"attempt": run.status.attempt}))
        Runs(store).check_history(NAME)
        check_end(Runs(store))


@pytest.mark.parametrize("protocol", [work, fail])
def test_cancel_at_any_point_wins_or_comes_too_late(clock: StoreClock, protocol: Protocol) -> None:
    """Protects a cancel request: accepted before the end, the run does not succeed or fail."""
    for at in range(1, _count_operations(clock, protocol) + 1):
        accepted: list[bool] = []

        def interrupt(store: ObjectStore, accepted: list[bool] = accepted) -> None:
            cancel(store)
            state = Runs(store).get(NAME).status.state
            cancels = (run_pb2.RUN_STATE_CANCELLING, run_pb2.RUN_STATE_CANCELLED)
            accepted.append(state in cancels)

        store, is_undisturbed = _play_interrupted(clock, protocol, interrupt, at)
        run = check_taken_over(store, clock)
        assert is_undisturbed != accepted[0], at
        assert (run.status.state == run_pb2.RUN_STATE_CANCELLED) == accepted[0], at


@pytest.mark.parametrize("step", range(3, 9))
def test_attempt_gets_through_a_store_that_fails_often(clock: StoreClock, step: int) -> None:
    """Protects a run from a store that fails again and again: done once, in one attempt."""
    store = clock.new_store()
    prepare_pending(store)
    failing = CrashingStore(store, every(step, Moment.AMBIGUOUS, Moment.LOST))
    work(RetryingStore(failing, patience=5))
    runs = Runs(store)
    check_end(runs)
    assert runs.get(NAME).status.attempt == 1
    texts = [event.log_line.text for event in runs.events(NAME) if event.HasField("log_line")]
    assert texts == ["one", "two"]


def _texts(store: ObjectStore) -> list[str]:
    return [event.log_line.text for event in read_events(store, NAME)]


def test_events_are_stored_once_and_in_order(clock: StoreClock) -> None:
    """Protects events from a crash between any two segments: what is stored is a beginning."""
    everything = [f"{number}" for number in range(EVENTS)]
    for crash in crashes(lambda store: None, flush_events, make_store=clock.new_store):
        texts = _texts(crash.store)
        assert texts == everything[: len(texts)], crash
        assert crash.moment not in FAILURES or texts == everything, crash
        flush_events(crash.store, attempt=3)
        events = list(read_events(crash.store, NAME))
        assert [event.sequence for event in events] == list(range(1, len(events) + 1)), crash
        assert _texts(crash.store) == texts + everything, crash


def test_stale_writer_adds_no_event_after_its_successor(clock: StoreClock) -> None:
    """Protects the numbers of events: a writer that slept uses none once a newer one has begun."""
    for at in range(1, EVENTS + 2):
        store = clock.new_store()

        def plan(number: int, at: int = at, store: ObjectStore = store) -> Moment | None:
            if number == at:
                flush_events(store, attempt=3)
            return None

        with suppress(FencedError):
            flush_events(CrashingStore(store, plan), attempt=2)
        events = list(read_events(store, NAME))
        attempts = [event.attempt for event in events]
        assert attempts == sorted(attempts)
        assert attempts.count(3) == EVENTS
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))


def test_writer_that_cannot_store_tells_who_waits(clock: StoreClock) -> None:
    """Protects an owner from waiting for ever, or from an end without its events, after a bug."""
    store = CrashingStore(clock.new_store(), once(1, Moment.BEFORE))
    lost = threading.Event()
    writer = EventWriter(store, NAME, 1, on_fenced=lost.set)
    writer.emit(event_pb2.LogLine(text="never stored"))
    with pytest.raises(FencedError):
        writer.flush()
    with pytest.raises(FencedError):
        writer.finish()
    assert lost.wait(5)
