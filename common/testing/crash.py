"""Crashes at every point of a protocol that works on an object store.

A protocol is played once to count its operations on the store; then once per operation and moment
with a crash there. What the crash left is handed to the test, which takes over and asserts:

    for crash in crashes(prepare, protocol):
        take_over(crash.store)
        assert invariant(crash.store), crash
"""

import enum
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from common.artifacts import ObjectInfo, ObjectStore
from common.artifacts.memory import MemoryStore
from common.artifacts.protocol import Chunk
from common.errors import UnavailableError

_T = TypeVar("_T")


class SimulatedCrash(BaseException):
    """The process died here. No `except Exception` sees it, as none sees a SIGKILL."""


class Moment(enum.StrEnum):
    """When something goes wrong, seen from the operation."""

    BEFORE = "before"
    """The process dies before the operation."""
    AFTER = "after"
    """The process dies after the operation; nobody learned its result."""
    AMBIGUOUS = "ambiguous"
    """The operation happened, but its caller gets `UnavailableError`, and lives on."""
    LOST = "lost"
    """The operation did not happen; its caller gets `UnavailableError`, and lives on."""


CRASHES = (Moment.BEFORE, Moment.AFTER)
FAILURES = (Moment.AMBIGUOUS, Moment.LOST)


# Says what goes wrong at an operation, from its number (from 1); None for nothing.
Plan = Callable[[int], Moment | None]


def never(number: int) -> Moment | None:
    """The plan in which nothing goes wrong."""
    return None


def once(at: int, moment: Moment) -> Plan:
    """Returns the plan in which the operation with number `at` goes wrong."""
    return lambda number: moment if number == at else None


def every(step: int, *moments: Moment) -> Plan:
    """Returns the plan in which every `step`-th operation goes wrong, in these ways by turns."""
    ways = itertools.cycle(moments)
    return lambda number: None if number % step else next(ways)


class CrashingStore:
    """Wraps a store; at operations that a plan chooses something goes wrong.

    After a crash every further operation raises `SimulatedCrash` too: the dead do not clean up.
    A stream counts as one operation, at its first item.

    Attributes:
        operations: What was asked of the store so far, for example `create records/models/a.json`.
    """

    def __init__(self, store: ObjectStore, plan: Plan = never) -> None:
        """Wraps `store`.

        Args:
            store: Any store.
            plan: What goes wrong when.
        """
        self.operations: list[str] = []
        self._store = store
        self._plan = plan
        self._dead = False
        self._lock = threading.Lock()

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self._store.bucket

    def read(self, key: str) -> tuple[bytes, ObjectInfo]:
        """See `ObjectStore`."""
        return self._do("read", key, lambda: self._store.read(key))

    def stat(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""
        return self._do("stat", key, lambda: self._store.stat(key))

    def write(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        return self._do("write", key, lambda: self._store.write(key, data))

    def create(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        return self._do("create", key, lambda: self._store.create(key, data))

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """See `ObjectStore`."""
        return self._do("replace", key, lambda: self._store.replace(key, data, etag))

    def list(self, prefix: str, after: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        yield from self._do(
            "list", prefix, lambda: [*self._store.list(prefix, after, recursive=recursive)]
        )

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        self._do("delete", key, lambda: self._store.delete(key))

    def upload(self, key: str, chunks: Iterable[Chunk]) -> int:
        """See `ObjectStore`."""
        return self._do("upload", key, lambda: self._store.upload(key, chunks))

    def download(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `ObjectStore`."""
        yield from self._do("download", key, lambda: [*self._store.download(key, offset, length)])

    def _do(self, verb: str, key: str, operation: Callable[[], _T]) -> _T:
        with self._lock:
            if self._dead:
                raise SimulatedCrash(f"{verb} {key} after the crash")
            self.operations.append(f"{verb} {key}")
            moment = self._plan(len(self.operations))
            self._dead = moment in CRASHES
        if moment is None:
            return operation()
        if moment in (Moment.AFTER, Moment.AMBIGUOUS):
            operation()
        if moment in FAILURES:
            raise UnavailableError(f"simulated: {moment} {verb} {key}")
        raise SimulatedCrash(f"{moment} {verb} {key}")


@dataclass(frozen=True)
class Crash:
    """A protocol that went wrong at one point.

    Attributes:
        operation: The operation at which it did, for example `create records/models/a.json`.
        number: Its number within the protocol, from 1.
        moment: How it went wrong.
        store: The store as it was left.
        error: What the protocol's caller got: `SimulatedCrash`, an error, or None where the
            protocol coped with it.
    """

    operation: str
    number: int
    moment: Moment
    store: MemoryStore
    error: BaseException | None

    def __str__(self) -> str:
        """Returns what a failed assertion says."""
        return f"{self.moment} operation {self.number}: {self.operation}"


def crashes(
    prepare: Callable[[ObjectStore], object],
    protocol: Callable[[ObjectStore], object],
    *,
    moments: Iterable[Moment] = tuple(Moment),
    make_store: Callable[[], MemoryStore] = MemoryStore,
) -> Iterator[Crash]:
    """Plays a protocol with every crash in turn.

    Args:
        prepare: Sets up a fresh store before each play; nothing goes wrong in it.
        protocol: What is played. It should do the same operations in each play.
        moments: The ways to go wrong.
        make_store: Makes the fresh store, for example with a clock of its own.

    Yields:
        What each play left.
    """
    prepared = make_store()
    prepare(prepared)
    clean = CrashingStore(prepared.copy())
    protocol(clean)
    for moment in moments:
        for number in range(1, len(clean.operations) + 1):
            yield _play(prepared.copy(), protocol, number, moment)


def _play(
    store: MemoryStore, protocol: Callable[[ObjectStore], object], number: int, moment: Moment
) -> Crash:
    crashing = CrashingStore(store, once(number, moment))
    error: BaseException | None = None
    try:
        protocol(crashing)
    except AssertionError:
        raise
    except (SimulatedCrash, Exception) as raised:
        error = raised
    if len(crashing.operations) < number:
        raise AssertionError(f"the protocol did not come to operation {number} again")
    return Crash(crashing.operations[number - 1], number, moment, store, error)
