"""A lease on anything, in the object store: one owner at a time, and a number for fencing.

The owner renews; expiry compares the store's `Last-Modified` with the `Date` of the same answer, so
that no two clocks are compared (Gray and Cheriton, "Leases", 1989). Each take-over raises the
attempt, with which whatever the owner publishes is fenced. The owner measures its own time from the
start of its last successful renewal, so it gives up before anybody else may begin.
"""

import json
import logging
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from pydantic import Field

from common.artifacts.protocol import ObjectChangedError, ObjectMissingError, ObjectStore
from common.config import Settings
from common.errors import ConflictError, FencedError, UnavailableError
from common.runs.hosts import JOB_VARIABLE, ProcessIdentity, boot_seconds

_log = logging.getLogger(__name__)

# `Last-Modified` and `Date` are whole seconds: an age can be a second too large.
_RESOLUTION_SECONDS = 1.0
_RENEWALS_PER_TTL = 6
_SHORTEST_INTERVAL_SECONDS = 0.05
_RETRY_SECONDS = 0.3


class LeaseSettings(Settings):
    """How long leases hold."""

    lease_ttl_seconds: float = Field(
        30.0, gt=0, description="A lease that is not renewed for so long may be taken over."
    )


class LeaseHeldError(ConflictError):
    """Somebody else holds the lease."""

    reason = "LEASE_HELD"


@dataclass(frozen=True)
class LeaseRecord:
    """What a lease object says.

    Attributes:
        owner: Id of the job or process that holds it.
        token: Random id of the `Lease` object that holds it.
        process: The process that holds it.
        attempt: Counts the owners, from 1; never falls.
        faults: Owners in a row before this one that died without having progressed.
        progressed: Whether this owner has come further than those before it.
        ttl_seconds: How long it holds after the last renewal.
        renewal: Counts the renewals: equal content would have an equal ETag.
        released: Whether the owner gave it up; nobody holds it then.
    """

    owner: str
    token: str
    process: ProcessIdentity
    attempt: int
    faults: int
    progressed: bool
    ttl_seconds: float
    renewal: int = 0
    released: bool = False

    def encode(self) -> bytes:
        """Returns the object's bytes."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def decode(cls, data: bytes) -> "LeaseRecord":
        """Reads what `encode` wrote."""
        fields = json.loads(data)
        return cls(**{**fields, "process": ProcessIdentity(**fields["process"])})


@dataclass(frozen=True)
class LeaseView:
    """A lease as somebody else sees it.

    Attributes:
        record: What the object says.
        etag: Its ETag.
        age: Seconds since it was written, by the store's clock.
    """

    record: LeaseRecord
    etag: str
    age: float

    def is_free(self) -> bool:
        """Whether it may be taken: released, expired, or its owner is certainly dead."""
        return (
            self.record.released
            or self.age >= self.record.ttl_seconds + _RESOLUTION_SECONDS
            or self.record.process.is_proven_dead()
        )


def read_lease(store: ObjectStore, key: str) -> LeaseView | None:
    """Returns the lease under a key, or None where there never was one."""
    try:
        data, info = store.read(key)
    except ObjectMissingError:
        return None
    age = (info.now - info.modified).total_seconds()
    return LeaseView(LeaseRecord.decode(data), info.etag, age)


class Lease:
    """One owner's side of a lease. Safe to use from several threads.

    Args:
        store: Where it lives.
        key: Its key, for example `runs/trainingRuns/iris/lease.json`.
        owner: Id of the owner; the job's id or a random one by default.
        ttl: Seconds it holds without renewal; `AIMASS_LEASE_TTL_SECONDS` by default (30).
        clock: Seconds on a clock that never stops nor goes back.

    Attributes:
        took_over: Whether it was taken from an owner that had not given it up.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        *,
        owner: str = "",
        ttl: float | None = None,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self.key = key
        self.ttl = LeaseSettings().lease_ttl_seconds if ttl is None else ttl
        self._store = store
        self._owner = owner or os.environ.get(JOB_VARIABLE, "") or secrets.token_hex(8)
        self._token = secrets.token_hex(16)
        self._clock = clock
        self._lock = threading.Lock()
        self._record: LeaseRecord | None = None
        self._etag = ""
        self._progressed = False
        # When the last successful renewal began; None while the lease is not held.
        self._held_since: float | None = None
        self.took_over = False

    @property
    def attempt(self) -> int:
        """Number of this owner, from 1."""
        return self._known().attempt

    @property
    def faults(self) -> int:
        """Owners in a row before this one that died without having progressed."""
        return self._known().faults

    def acquire(self, floor: int = 0, *, closing: bool = False) -> None:
        """Takes the lease. After an `UnavailableError` it can be called again.

        Args:
            floor: The attempt becomes larger than this, whatever the lease object says.
            closing: Keep the number of an owner that released the lease itself and so promised to
                publish nothing more: for those who only write a run's end.

        Raises:
            LeaseHeldError: Somebody else holds it, or was faster.
            UnavailableError: The store is away.
        """
        with self._lock:
            began = self._clock()
            found = read_lease(self._store, self.key)
            record = self._successor(found, floor, closing)
            try:
                if found is None:
                    self._etag = self._store.create(self.key, record.encode())
                else:
                    self._etag = self._store.replace(self.key, record.encode(), found.etag)
            except ObjectChangedError:
                raise LeaseHeldError(f"Somebody else was faster to take {self.key}.") from None
            self._record = record
            self._held_since = began
            self.took_over = found is not None and not found.record.released

    def _successor(self, found: LeaseView | None, floor: int, closing: bool) -> LeaseRecord:
        mine = LeaseRecord(
            self._owner,
            self._token,
            ProcessIdentity.current(),
            attempt=floor + 1,
            faults=0,
            progressed=False,
            ttl_seconds=self.ttl,
        )
        if found is None:
            return mine
        before = found.record
        if before.token == self._token and not before.released:
            # An earlier call wrote it and did not hear of it.
            return replace(before, renewal=before.renewal + 1)
        if not found.is_free():
            raise LeaseHeldError(
                f"{self.key} is held by process {before.process.pid} on {before.process.host}."
            )
        if closing and before.released and before.attempt >= floor:
            return replace(mine, attempt=before.attempt, faults=before.faults)
        faults = before.faults if before.released else _faults_after(before, died=True)
        return replace(mine, attempt=max(before.attempt, floor) + 1, faults=faults)

    def renew(self) -> None:
        """Holds the lease for another time to live.

        Raises:
            FencedError: It is lost, for good.
            UnavailableError: The store is away; try again.
        """
        with self._lock:
            self.check()
            began = self._clock()
            try:
                self._write(self._renewed())
            except ObjectChangedError:
                self._adopt()
                self._write(self._renewed())
            self._held_since = began

    def _renewed(self) -> LeaseRecord:
        record = self._known()
        return replace(record, renewal=record.renewal + 1, progressed=self._progressed)

    def _write(self, record: LeaseRecord) -> None:
        self._etag = self._store.replace(self.key, record.encode(), self._etag)
        self._record = record

    def _adopt(self) -> None:
        """Catches up with an own write whose answer was lost; raises when it was not an own one."""
        found = read_lease(self._store, self.key)
        if found is None or found.record.token != self._token or found.record.released:
            self._held_since = None
            raise FencedError(f"The lease {self.key} was taken over.")
        self._etag = found.etag
        self._record = found.record

    def release(self, *, fault: bool = False) -> None:
        """Gives the lease up; the owner promises to publish nothing more.

        Args:
            fault: Whether the owner ends because something went wrong.

        Raises:
            UnavailableError: The store is away: the lease stays until it expires.
        """
        with self._lock:
            if self._held_since is None:
                return
            self._held_since = None
            record = self._renewed()
            faults = _faults_after(record, died=fault)
            try:
                self._write(replace(record, released=True, faults=faults))
            except ObjectChangedError:
                _log.info("the lease %s had been taken over before its release", self.key)

    def mark_progress(self) -> bool:
        """Notes that this owner came further than those before it; stored with a renewal.

        Returns:
            Whether that is news.
        """
        is_news = not self._progressed
        self._progressed = True
        return is_news

    def remaining(self) -> float:
        """Returns the seconds that the lease still holds; 0 or less when it does not."""
        since = self._held_since
        return 0.0 if since is None else since + self.ttl - self._clock()

    def check(self) -> None:
        """Call before anything is published.

        Raises:
            FencedError: The lease is lost, released, or was not renewed in time.
        """
        if self.remaining() <= 0:
            raise FencedError(f"The lease {self.key} is not held any more.")

    def _known(self) -> LeaseRecord:
        if self._record is None:
            raise FencedError(f"The lease {self.key} was never taken.")
        return self._record


def _faults_after(record: LeaseRecord, *, died: bool) -> int:
    before = 0 if record.progressed else record.faults
    return before + 1 if died else before


class LeaseKeeper:
    """Renews a lease from a thread until it is stopped or the lease is lost.

    Args:
        lease: A lease that is held.
        on_lost: Called once, from a thread, when the lease is lost or could not be renewed within
            its time to live. What the lease protects must stop there and then.
    """

    def __init__(self, lease: Lease, on_lost: Callable[[], None]) -> None:
        self._lease = lease
        self._on_lost = on_lost
        self._interval = max(lease.ttl / _RENEWALS_PER_TTL, _SHORTEST_INTERVAL_SECONDS)
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._lost = threading.Lock()
        # Two threads: a renewal can hang in the store beyond the time to live.
        self._threads = [
            threading.Thread(target=self._renew_until_lost, name="lease-renew", daemon=True),
            threading.Thread(target=self._watch, name="lease-watch", daemon=True),
        ]

    def start(self) -> None:
        """Starts renewing."""
        for thread in self._threads:
            thread.start()

    def halt(self) -> None:
        """Begins no further renewal; the lease is neither released nor lost."""
        self._stopped.set()
        self._wake.set()

    def stop(self) -> None:
        """Halts, and waits for a renewal at work."""
        self.halt()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=self._lease.ttl)

    def renew_now(self) -> None:
        """Renews at once, so that `mark_progress` is stored."""
        self._wake.set()

    def _renew_until_lost(self) -> None:
        delay = self._interval
        while not self._stopped.is_set():
            self._wake.wait(delay)
            self._wake.clear()
            if self._stopped.is_set():
                return
            delay = self._renew()

    def _renew(self) -> float:
        try:
            self._lease.renew()
        except FencedError:
            self._lose()
        except UnavailableError as error:
            _log.warning("cannot renew %s: %s", self._lease.key, error)
            return min(self._interval, _RETRY_SECONDS)
        return self._interval

    def _watch(self) -> None:
        while not self._stopped.wait(min(max(self._lease.remaining(), 0.01), self._interval)):
            if self._lease.remaining() <= 0:
                self._lose()

    def _lose(self) -> None:
        if not self._lost.acquire(blocking=False):
            return
        if not self._stopped.is_set():
            self.halt()
            _log.error("the lease %s is lost", self._lease.key)
            self._on_lost()
