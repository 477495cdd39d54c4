"""The thread that keeps a lease: it renews while it can, and ends its owner when it cannot."""

import threading
from collections.abc import Callable

import pytest

from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.errors import UnavailableError
from common.runs.lease import Lease, LeaseHeldError, LeaseKeeper, read_lease
from common.testing.crash import CrashingStore, Moment

KEY = "runs/trainingRuns/a/lease.json"
TTL_SECONDS = 0.6
_PATIENCE_SECONDS = 20.0


class _Switch:
    """Says what becomes of the operations on a store."""

    def __init__(self) -> None:
        self.moment: Moment | None = None
        self.hang: threading.Event | None = None

    def __call__(self, number: int) -> Moment | None:
        if self.hang is not None:
            self.hang.wait(_PATIENCE_SECONDS)
        return self.moment


def _kept(store: ObjectStore) -> tuple[Lease, LeaseKeeper, threading.Event]:
    lease = Lease(store, KEY, owner="one", ttl=TTL_SECONDS)
    lease.acquire()
    lost = threading.Event()
    keeper = LeaseKeeper(lease, lost.set)
    keeper.start()
    return lease, keeper, lost


def _wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(_PATIENCE_SECONDS / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it does not come")


def test_keeper_holds_the_lease_beyond_its_time_to_live() -> None:
    """Protects a long run: its lease is renewed again and again, until it is stopped."""
    store = MemoryStore()
    lease, keeper, lost = _kept(store)

    def renewals() -> int:
        view = read_lease(store, KEY)
        return view.record.renewal if view else 0

    _wait_until(lambda: renewals() >= 8)
    assert lease.remaining() > 0
    keeper.stop()
    assert not lost.is_set()
    count = renewals()
    lease.release()
    assert renewals() == count + 1


def test_short_outage_of_the_store_loses_nothing() -> None:
    """Protects a run from a store that is away for less than the time to live."""
    switch = _Switch()
    lease, keeper, lost = _kept(CrashingStore(MemoryStore(), switch))
    switch.moment = Moment.LOST
    _wait_until(lambda: lease.remaining() < TTL_SECONDS / 2)
    switch.moment = None
    _wait_until(lambda: lease.remaining() > TTL_SECONDS / 2)
    keeper.stop()
    assert not lost.is_set()


@pytest.mark.parametrize("hangs", [False, True])
def test_owner_ends_when_it_could_not_renew_in_time(hangs: bool) -> None:
    """Protects the next owner: one that the store does not answer ends before its lease does."""
    switch = _Switch()
    lease, keeper, lost = _kept(CrashingStore(MemoryStore(), switch))
    if hangs:
        switch.hang = threading.Event()
    else:
        switch.moment = Moment.LOST
    assert lost.wait(_PATIENCE_SECONDS)
    assert lease.remaining() <= 0
    if switch.hang is not None:
        switch.hang.set()
    keeper.stop()


def test_owner_ends_at_once_when_another_took_over() -> None:
    """Protects a run from an owner that does not know that it was replaced."""
    store = MemoryStore()
    _, keeper, lost = _kept(store)
    view = read_lease(store, KEY)
    assert view is not None
    other = Lease(store, KEY, owner="two", ttl=600)
    with pytest.raises(LeaseHeldError):
        other.acquire()
    store.delete(KEY)
    other.acquire()
    keeper.renew_now()
    assert lost.wait(_PATIENCE_SECONDS)
    keeper.stop()


def test_unheard_acquire_can_be_repeated() -> None:
    """Protects an owner whose answer was lost: it holds the lease that it wrote, once."""
    store = MemoryStore()

    def ambiguous(number: int) -> Moment | None:
        return Moment.AMBIGUOUS if number == 2 else None

    lease = Lease(CrashingStore(store, ambiguous), KEY, owner="one", ttl=600)
    with pytest.raises(UnavailableError):
        lease.acquire()
    lease.acquire()
    assert lease.attempt == 1
