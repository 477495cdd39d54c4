"""Patience with a store that is away, by a clock in the test's hand."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import pytest

from common.artifacts import ObjectChangedError, ObjectInfo, ObjectStore
from common.artifacts.memory import MemoryStore
from common.artifacts.protocol import Chunk
from common.artifacts.retry import RetryingStore
from common.errors import StoreFullError, UnavailableError
from common.testing.crash import CrashingStore, Moment, once

_T = TypeVar("_T")


class Time(threading.Event):
    """A clock that each pause moves on, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()


def away(store: ObjectStore, time: Time, seconds: float) -> CrashingStore:
    """Returns a store that cannot be reached for its first seconds."""
    return CrashingStore(store, lambda _: Moment.LOST if time.now < seconds else None)


def test_an_outage_of_20_seconds_is_survived_by_the_patient() -> None:
    """Protects runs: MinIO may be away for 20 s."""
    time = Time()
    store = RetryingStore(away(MemoryStore(), time, 20), 60, closed=time, clock=time)
    store.create("a", b"x")
    assert 20 <= time.now < 22
    assert store.read("a")[0] == b"x"


def test_an_outage_is_told_to_the_impatient() -> None:
    """Protects unary calls: the error comes within the patience."""
    time = Time()
    store = RetryingStore(away(MemoryStore(), time, 20), 4, closed=time, clock=time)
    with pytest.raises(UnavailableError):
        store.read("a")
    assert 2.5 < time.now <= 4


def test_a_full_store_has_a_patience_of_its_own() -> None:
    """A run that can begin anew says soon that there is no room, and still survives an outage."""

    class Full(MemoryStore):
        def write(self, key: str, data: bytes) -> str:
            raise StoreFullError("full")

    time = Time()
    full = RetryingStore(Full(), 60, full_patience=5, closed=time, clock=time)
    with pytest.raises(StoreFullError):
        full.write("a", b"x")
    assert 3 < time.now <= 5


def test_a_store_that_comes_back_full_has_its_whole_patience() -> None:
    """An outage before uses up nothing of the time in which somebody may make room."""

    class Full(MemoryStore):
        def write(self, key: str, data: bytes) -> str:
            if time.now < 20:
                raise UnavailableError("away")
            if time.now < 23:
                raise StoreFullError("full")
            return super().write(key, data)

    time = Time()
    store = RetryingStore(Full(), 60, full_patience=5, closed=time, clock=time)
    assert store.write("a", b"x") == store.stat("a").etag
    assert 23 <= time.now < 25


def test_a_full_store_without_a_patience_of_its_own_is_away() -> None:
    """Protects callers: their wait has one bound, whatever keeps the store from answering."""

    class Full(MemoryStore):
        def write(self, key: str, data: bytes) -> str:
            raise UnavailableError("away") if time.now < 3 else StoreFullError("full")

    time = Time()
    with pytest.raises(StoreFullError):
        RetryingStore(Full(), 4, closed=time, clock=time).write("a", b"x")
    assert 2.5 < time.now <= 4


def test_a_closed_store_gives_up_at_once() -> None:
    """Protects shutdown from waiting for a store that is away."""
    time = Time()
    store = RetryingStore(away(MemoryStore(), time, 20), 60, closed=time, clock=time)
    time.set()
    with pytest.raises(UnavailableError):
        store.read("a")
    assert time.now < 1


CONDITIONAL: list[Callable[[ObjectStore, str], str]] = [
    lambda store, etag: store.create("b", b"mine"),
    lambda store, etag: store.replace("a", b"mine", etag),
]


@pytest.mark.parametrize("write", CONDITIONAL)
def test_a_write_that_happened_unseen_is_found(write: Callable[[ObjectStore, str], str]) -> None:
    """Protects winners: their own bytes on the second try are no loss of the race."""
    memory = MemoryStore()
    etag = memory.create("a", b"old")
    crashing = CrashingStore(memory, once(1, Moment.AMBIGUOUS))
    store = RetryingStore(crashing, 60, closed=Time())
    assert write(store, etag) == memory.stat(crashing.operations[0].split()[1]).etag


@pytest.mark.parametrize("write", CONDITIONAL)
def test_a_lost_race_is_a_lost_race(write: Callable[[ObjectStore, str], str]) -> None:
    """Protects losers: another's bytes are not taken for their own, after a failure neither."""
    memory = MemoryStore()
    etag = memory.create("a", b"old")

    def another_wins(number: int) -> Moment | None:
        if number == 1:
            memory.write("a", b"theirs")
            memory.write("b", b"theirs")
        return Moment.LOST if number == 1 else None

    with pytest.raises(ObjectChangedError):
        write(RetryingStore(CrashingStore(memory, another_wins), 60, closed=Time()), etag)
    assert memory.read("a")[0] == memory.read("b")[0] == b"theirs"


def test_equal_bytes_of_another_win_no_race_without_a_failure() -> None:
    """Protects a create whose bytes are there already: nothing failed, so they are another's."""
    memory = MemoryStore()
    memory.create("a", b"same")
    with pytest.raises(ObjectChangedError):
        RetryingStore(memory, 60).create("a", b"same")


class _Breaking(MemoryStore):
    """A store whose streams break after each item."""

    def list(self, prefix: str, after: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yields one item."""
        return _break(super().list(prefix, after, recursive=recursive))

    def download(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yields one chunk of three bytes."""
        whole = b"".join(super().download(key, offset, length))
        return _break(iter([whole[:3], whole[3:]] if len(whole) > 3 else [whole]))


def _break(items: Iterator[_T]) -> Iterator[_T]:
    yield from itertools.islice(items, 1)
    if next(items, None) is not None:
        raise UnavailableError("broken")


def test_broken_streams_go_on_where_they_stopped() -> None:
    """Protects long lists and downloads: nothing twice, nothing left out."""
    breaking = _Breaking()
    store = RetryingStore(breaking, 60, closed=Time())
    keys = [f"k/{number}" for number in range(5)]
    for key in keys:
        store.write(key, b"0123456789")
    assert [info.key for info in store.list("k/")] == keys
    assert b"".join(store.download("k/0")) == b"0123456789"
    assert b"".join(store.download("k/0", 2, 7)) == b"2345678"


class _Eating(MemoryStore):
    """A store whose first upload fails half-way."""

    failed = False

    def upload(self, key: str, chunks: Iterable[Chunk]) -> int:
        """Takes one chunk and fails, the first time."""
        if self.failed:
            return super().upload(key, chunks)
        self.failed = True
        next(iter(chunks))
        raise UnavailableError("broken")


@pytest.mark.parametrize("once_only", [True, False])
def test_an_upload_is_repeated_whole(once_only: bool) -> None:
    """Protects artifacts: also chunks that come only once are all there after a failure."""
    eating = _Eating()
    chunks = [b"one", b"two"]
    store = RetryingStore(eating, 60, closed=Time())
    assert store.upload("a", iter(chunks) if once_only else chunks) == 6
    assert eating.read("a")[0] == b"onetwo"
