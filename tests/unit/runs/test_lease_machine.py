"""The lease under everything that can happen to its owners and to the store, in any order."""

import enum
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from common.artifacts import ObjectChangedError
from common.artifacts.memory import MemoryStore
from common.errors import FencedError, UnavailableError
from common.runs.lease import Lease, LeaseHeldError, read_lease
from common.testing.crash import CrashingStore, Moment

KEY = "runs/trainingRuns/a/lease.json"
TTL_SECONDS = 6.0
OWNERS = 3
# Times are multiples of this; the store's clock shows whole seconds.
TICK_SECONDS = 0.25


class Fate(enum.Enum):
    """What becomes of an operation on the store."""

    DONE = "done"
    """It is done, and its caller learns so."""
    AMBIGUOUS = "ambiguous"
    """It is done, and its caller learns nothing."""
    LOST = "lost"
    """It is not done."""
    LATE = "late"
    """Its caller gives up; the store does it later."""
    SLOW = "slow"
    """The caller is frozen before it, for less than the time to live."""
    FROZEN = "frozen"
    """The caller is frozen before it, for longer; meanwhile another owner tries its luck."""
    UNHEARD = "unheard"
    """The caller is frozen after it, for as long; meanwhile another owner tries its luck."""


class World:
    """One store and one time.

    Attributes:
        now: Seconds since the beginning.
        store: The store.
        late: Operations that the store will do later.
        leases: The owners.
    """

    def __init__(self, phase: float) -> None:
        self.now = 0.0
        self.store = MemoryStore(clock=self._store_time)
        self.late: deque[Callable[[], object]] = deque()
        self.leases: list[Lease] = []
        self._phase = phase

    def _store_time(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now + self._phase)

    def new_lease(self, number: int, fates: deque[Fate]) -> Lease:
        """Returns a new owner's side of the lease; its clock has a beginning of its own."""
        store = FatefulStore(self, number, fates)
        return Lease(
            store, KEY, owner=f"{number}", ttl=TTL_SECONDS, clock=lambda: self.now + 1000.0 * number
        )

    def freeze(self, number: int) -> None:
        """Freezes an owner past its lease; another one tries to take it."""
        self.now += TTL_SECONDS + 2
        rival = self.leases[(number + 1) % OWNERS]
        if rival.remaining() <= 0:
            with suppress(LeaseHeldError, UnavailableError):
                rival.acquire()


class FatefulStore(CrashingStore):
    """The store as one owner finds it: each operation meets the next fate in line."""

    def __init__(self, world: World, number: int, fates: deque[Fate]) -> None:
        super().__init__(world.store, self._next_moment)
        self._world = world
        self._number = number
        self._fates = fates

    def create(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        return self._write(
            lambda: self._world.store.create(key, data),
            lambda: super(FatefulStore, self).create(key, data),
        )

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """See `ObjectStore`."""
        return self._write(
            lambda: self._world.store.replace(key, data, etag),
            lambda: super(FatefulStore, self).replace(key, data, etag),
        )

    def _write(self, late: Callable[[], str], now: Callable[[], str]) -> str:
        fate = self._fates[0] if self._fates else Fate.DONE
        if fate is Fate.LATE:
            self._world.late.append(late)
        etag = now()
        if fate is Fate.UNHEARD:
            self._world.freeze(self._number)
        return etag

    def _next_moment(self, number: int) -> Moment | None:
        fate = self._fates.popleft() if self._fates else Fate.DONE
        if fate is Fate.SLOW:
            self._world.now += TTL_SECONDS / 2
        if fate is Fate.FROZEN:
            self._world.freeze(self._number)
        moments = {Fate.AMBIGUOUS: Moment.AMBIGUOUS, Fate.LOST: Moment.LOST, Fate.LATE: Moment.LOST}
        return moments.get(fate)


owners = st.integers(0, OWNERS - 1)
one_fate = st.builds(
    lambda before, fate: [Fate.DONE] * before + [fate], st.integers(0, 1), st.sampled_from(Fate)
)
some_fates = st.one_of(one_fate, st.lists(st.sampled_from(Fate), max_size=4))


class LeaseMachine(RuleBasedStateMachine):
    """Owners that acquire, renew, release, freeze and die, over a store that fails."""

    @initialize(phase=st.floats(0, 1, exclude_max=True))
    def begin(self, phase: float) -> None:
        """Starts with nobody's lease."""
        self.world = World(phase)
        self.fates: list[deque[Fate]] = [deque() for _ in range(OWNERS)]
        self.world.leases = [
            self.world.new_lease(number, fates) for number, fates in enumerate(self.fates)
        ]
        self.highest = 0
        self.published = 0

    def _try(self, owner: int, fates: list[Fate], action: Callable[[], object]) -> None:
        self.fates[owner].extend(fates)
        with suppress(LeaseHeldError, FencedError, UnavailableError):
            action()
        self.fates[owner].clear()

    @rule(owner=owners, fates=some_fates, closing=st.booleans())
    def acquire(self, owner: int, fates: list[Fate], closing: bool) -> None:
        """An owner that does not hold it tries to take it."""
        lease = self.world.leases[owner]
        if lease.remaining() <= 0:
            self._try(owner, fates, lambda: lease.acquire(closing=closing))

    @rule(owner=owners, fates=some_fates)
    def renew(self, owner: int, fates: list[Fate]) -> None:
        """An owner renews, or finds that it has lost it."""
        self._try(owner, fates, self.world.leases[owner].renew)

    @rule(owner=owners, fates=some_fates)
    def release(self, owner: int, fates: list[Fate]) -> None:
        """An owner gives it up; it cannot publish from then on, whatever the store says."""
        lease = self.world.leases[owner]
        self._try(owner, fates, lease.release)
        assert lease.remaining() <= 0

    @rule(owner=owners)
    def die(self, owner: int) -> None:
        """An owner's process is replaced by a new one, which knows nothing."""
        self.world.leases[owner] = self.world.new_lease(owner, self.fates[owner])

    @rule(ticks=st.integers(1, int(2 * TTL_SECONDS / TICK_SECONDS)))
    def wait(self, ticks: int) -> None:
        """Time passes."""
        self.world.now += ticks * TICK_SECONDS

    @rule()
    def wake_store(self) -> None:
        """The store does what it was asked for long ago."""
        if self.world.late:
            with suppress(ObjectChangedError):
                self.world.late.popleft()()

    @rule(owner=owners)
    def publish(self, owner: int) -> None:
        """An owner publishes if it may; after a newer attempt no older one does."""
        lease = self.world.leases[owner]
        with suppress(FencedError):
            lease.check()
            assert lease.attempt >= self.published
            self.published = lease.attempt

    @invariant()
    def at_most_one_can_publish(self) -> None:
        """At no time two owners hold it."""
        holders = [lease for lease in self.world.leases if lease.remaining() > 0]
        assert len(holders) <= 1

    @invariant()
    def attempts_never_fall(self) -> None:
        """The number in the store only rises, and a holder's is the one in the store."""
        view = read_lease(self.world.store, KEY)
        attempt = view.record.attempt if view else 0
        assert attempt >= self.highest
        self.highest = attempt
        for lease in self.world.leases:
            assert lease.remaining() <= 0 or lease.attempt == attempt

    def teardown(self) -> None:
        """Whatever happened, somebody can take it in the end."""
        if not hasattr(self, "world"):
            return
        while self.world.late:
            self.wake_store()
        self.attempts_never_fall()
        self.world.now += 2 * TTL_SECONDS
        heir = self.world.new_lease(OWNERS, deque())
        heir.acquire()
        assert heir.attempt == self.highest + 1


TestLease = LeaseMachine.TestCase
TestLease.settings = settings(max_examples=100, stateful_step_count=40)
