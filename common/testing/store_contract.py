"""What every object store must do; each implementation's test derives from `StoreContract`."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest

from common.artifacts import ObjectChangedError, ObjectMissingError, ObjectStore

_RACERS = 16
_ODD_KEYS = [
    "odd/a b.json",
    "odd/a+b",
    "odd/a%20b",
    "odd/a&b=c?d#e",
    "odd/a'b\"c",
    "odd/a~b!c$d(e)*,;:@",
    "odd/grüße",
    "odd/数据",
]
_UNSAFE_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    "a/..",
    "./a",
    "a/./b",
    "a\x00b",
    "a\nb",
    "a\x7fb",
    "a\\b",
    "a/" + "b" * 256,
    "/".join(["a" * 200] * 6),
    "a\ud800",
]


class StoreContract:
    """The tests. A subclass gives a fixture `store` that opens a fresh, empty bucket."""

    def test_what_was_written_is_read_back(self, store: ObjectStore) -> None:
        """Protects the basic promise: a read after a write sees the bytes and their etag."""
        etag = store.write("a/b.json", b"hello")
        data, info = store.read("a/b.json")
        assert data == b"hello"
        assert (info.key, info.etag, info.size) == ("a/b.json", etag, 5)
        assert store.stat("a/b.json").etag == etag
        assert [found.etag for found in store.list("a/")] == [etag]

    def test_write_replaces_whatever_was_there(self, store: ObjectStore) -> None:
        """Protects the unconditional write."""
        first = store.write("a", b"one")
        second = store.write("a", b"two")
        assert first != second
        assert store.read("a")[0] == b"two"

    def test_an_empty_object_is_an_object(self, store: ObjectStore) -> None:
        """Protects against taking no bytes for no object."""
        store.write("written", b"")
        assert store.upload("uploaded", iter(())) == 0
        assert store.read("written")[0] == store.read("uploaded")[0] == b""
        assert list(store.download("written")) == []
        assert [info.size for info in store.list("")] == [0, 0]

    def test_a_missing_object_is_named(self, store: ObjectStore) -> None:
        """Protects callers that tell "not there" from "cannot be reached"."""
        for ask in (store.read, store.stat, lambda key: next(store.download(key))):
            with pytest.raises(ObjectMissingError, match="not/there"):
                ask("not/there")
        with pytest.raises(ObjectMissingError):
            next(store.download("not/there", 3, 0))

    def test_delete_is_final_and_may_be_repeated(self, store: ObjectStore) -> None:
        """Protects repeats of a delete whose outcome was unknown."""
        store.write("a", b"x")
        store.delete("a")
        store.delete("a")
        assert list(store.list("")) == []
        with pytest.raises(ObjectMissingError):
            store.read("a")

    def test_create_refuses_what_exists(self, store: ObjectStore) -> None:
        """Protects names from being given twice."""
        etag = store.create("a", b"first")
        with pytest.raises(ObjectChangedError):
            store.create("a", b"second")
        assert store.read("a")[0] == b"first"
        assert store.stat("a").etag == etag

    def test_create_after_delete(self, store: ObjectStore) -> None:
        """Protects the reuse of a key."""
        store.create("a", b"first")
        store.delete("a")
        store.create("a", b"second")
        assert store.read("a")[0] == b"second"

    def test_replace_needs_the_current_etag(self, store: ObjectStore) -> None:
        """Protects compare-and-swap: a stale etag changes nothing."""
        first = store.create("a", b"one")
        second = store.replace("a", b"two", first)
        with pytest.raises(ObjectChangedError):
            store.replace("a", b"three", first)
        assert store.read("a")[0] == b"two"
        store.replace("a", b"three", second)
        assert store.read("a")[0] == b"three"

    def test_replace_does_not_create(self, store: ObjectStore) -> None:
        """Protects against bringing back what was deleted."""
        etag = store.create("a", b"one")
        store.delete("a")
        with pytest.raises(ObjectChangedError):
            store.replace("a", b"two", etag)
        with pytest.raises(ObjectMissingError):
            store.read("a")

    def test_equal_content_has_an_equal_etag(self, store: ObjectStore) -> None:
        """Pins down A-B-A: an etag cannot tell a state from an earlier one with the same bytes."""
        first = store.create("a", b"A")
        store.replace("a", b"B", first)
        again = store.write("a", b"A")
        assert again == first
        assert store.create("b", b"A") == first
        store.replace("a", b"C", first)
        assert store.read("a")[0] == b"C"

    def test_of_racing_creates_one_wins(self, store: ObjectStore) -> None:
        """Protects every name and lease that is taken by a create."""
        for number in range(8):
            key = f"race/{number}"
            winners = _race(partial(_create, store, key))
            assert len(winners) == 1
            assert store.read(key)[0] == b"%d" % winners[0]

    def test_of_racing_replaces_one_wins(self, store: ObjectStore) -> None:
        """Protects compare-and-swap under load."""
        etag = store.create("race", b"start")
        for _ in range(8):
            winners = _race(partial(_replace, store, "race", etag))
            assert len(winners) == 1
            data, info = store.read("race")
            assert data == b"%d after %s" % (winners[0], etag.encode())
            etag = info.etag

    def test_readers_see_whole_objects(self, store: ObjectStore) -> None:
        """Protects readers from a mixture of two writes."""
        contents = [bytes([letter]) * 200_000 for letter in b"AB"]
        store.write("a", contents[0])
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                for content in contents:
                    store.write("a", content)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen = [store.read("a")[0] for _ in range(20)]
        finally:
            stop.set()
            writer.join()
        assert all(data in contents for data in seen)

    def test_list_is_in_key_order(self, store: ObjectStore) -> None:
        """Protects readers of segments and pages, who rely on order, prefix and `after`."""
        keys = ["a/1", "a/10", "a/2", "a-b", "a.json", "a/b/c", "b", "a0", "A"]
        for key in keys:
            store.write(key, key.encode())
        listed = [info.key for info in store.list("")]
        assert listed == sorted(keys)
        assert [info.key for info in store.list("a/")] == ["a/1", "a/10", "a/2", "a/b/c"]
        assert [info.key for info in store.list("a/1")] == ["a/1", "a/10"]
        assert [info.key for info in store.list("a/", after="a/10")] == ["a/2", "a/b/c"]
        assert [info.key for info in store.list("a/", after="a/11")] == ["a/2", "a/b/c"]
        assert list(store.list("a/", after="a/b/c")) == []
        assert list(store.list("nothing/")) == []

    def test_list_of_one_folder(self, store: ObjectStore) -> None:
        """Protects lists of a collection from paying for what lies below it."""
        for key in ("a/1.json", "a/1/x.json", "a/2.json", "a/3/y.json", "b.json"):
            store.write(key, b"")
        listed = [info.key for info in store.list("a/", recursive=False)]
        assert listed == ["a/1.json", "a/2.json"]
        listed = [info.key for info in store.list("a/", after="a/1.json", recursive=False)]
        assert listed == ["a/2.json"]
        assert [info.key for info in store.list("", recursive=False)] == ["b.json"]

    def test_list_of_more_than_a_page(self, store: ObjectStore) -> None:
        """Protects against the end of a server's page being taken for the end of the list."""
        keys = [f"many/{number:05d}" for number in range(1005)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: store.write(key, b"x"), keys))
        assert [info.key for info in store.list("many/")] == keys
        assert [info.key for info in store.list("many/", after=keys[2])] == keys[3:]

    def test_ages_are_by_the_stores_clock(self, store: ObjectStore) -> None:
        """Protects leases: an age is never negative, and has a time zone."""
        store.write("a", b"x")
        for info in (store.read("a")[1], store.stat("a"), *store.list("a")):
            age = info.now - info.modified
            assert timedelta(0) <= age < timedelta(minutes=1)
            assert info.now.utcoffset() == timedelta(0)
            assert info.modified.utcoffset() == timedelta(0)
            assert info.modified.microsecond == 0

    def test_large_objects_stream_unharmed(self, store: ObjectStore) -> None:
        """Protects artifacts of several parts: all bytes, in order, checked by SHA-256."""
        size = 40 * 1024 * 1024 + 17
        sent = hashlib.sha256()
        assert store.upload("large", _hashed(random_chunks(size), sent)) == size
        received = hashlib.sha256()
        total = sum(len(chunk) for chunk in _hashed(store.download("large"), received))
        assert (total, received.hexdigest()) == (size, sent.hexdigest())
        assert store.stat("large").size == size

    def test_download_of_a_part(self, store: ObjectStore) -> None:
        """Protects resumed downloads."""
        store.upload("a", [b"0123", b"", b"456789"])

        def part(offset: int, length: int | None = None) -> bytes:
            return b"".join(store.download("a", offset, length))

        assert part(0) == b"0123456789"
        assert part(3) == b"3456789"
        assert part(3, 4) == b"3456"
        assert part(0, 1) == b"0"
        assert part(8, 100) == b"89"
        assert part(10) == part(100) == part(100, 5) == part(0, 0) == b""

    def test_a_failed_upload_leaves_nothing(self, store: ObjectStore) -> None:
        """Protects readers from half an object when a producer fails."""

        def failing(size: int) -> Iterator[bytes]:
            yield from random_chunks(size)
            raise ArithmeticError("producer failed")

        store.write("old", b"old")
        for key, size in (("small", 10), ("large", 20 * 1024 * 1024), ("old", 10)):
            with pytest.raises(ArithmeticError, match="producer failed"):
                store.upload(key, failing(size))
        assert [info.key for info in store.list("")] == ["old"]
        assert store.read("old")[0] == b"old"

    @pytest.mark.parametrize("key", _ODD_KEYS)
    def test_odd_keys_survive(self, store: ObjectStore, key: str) -> None:
        """Protects keys that need quoting somewhere on their way."""
        etag = store.create(key, b"one")
        store.replace(key, b"two", etag)
        assert store.read(key)[0] == b"".join(store.download(key)) == b"two"
        assert [info.key for info in store.list("odd/")] == [key]
        assert [info.key for info in store.list(key)] == [key]
        store.delete(key)
        assert list(store.list("odd/")) == []

    @pytest.mark.parametrize("key", _UNSAFE_KEYS)
    def test_unsafe_keys_are_refused(self, store: ObjectStore, key: str) -> None:
        """Protects other keys from ids that were not checked."""
        calls: list[Callable[[], object]] = [
            lambda: store.read(key),
            lambda: store.stat(key),
            lambda: store.write(key, b""),
            lambda: store.create(key, b""),
            lambda: store.replace(key, b"", "etag"),
            lambda: store.delete(key),
            lambda: store.upload(key, [b""]),
            lambda: next(store.download(key)),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="key"):
                call()
        assert list(store.list("")) == []


def random_chunks(size: int, chunk: int = 300_000) -> Iterator[bytes]:
    """Yields `size` bytes that do not compress or repeat, the same in every call."""
    block = hashlib.shake_256(b"aimass").digest(chunk)
    for start in range(0, size, chunk):
        number = (start // chunk).to_bytes(8, "big")
        yield (number + block)[: min(chunk, size - start)]


def _hashed(chunks: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _create(store: ObjectStore, key: str, racer: int) -> None:
    store.create(key, b"%d" % racer)


def _replace(store: ObjectStore, key: str, etag: str, racer: int) -> None:
    store.replace(key, b"%d after %s" % (racer, etag.encode()), etag)


def _race(attempt: Callable[[int], object]) -> list[int]:
    """Lets threads try at the same moment. Returns the numbers of those that won."""
    start = threading.Barrier(_RACERS)

    def run(racer: int) -> bool:
        start.wait()
        try:
            attempt(racer)
        except ObjectChangedError:
            return False
        return True

    with ThreadPoolExecutor(_RACERS) as pool:
        return [racer for racer, won in enumerate(pool.map(run, range(_RACERS))) if won]
