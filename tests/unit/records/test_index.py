"""The index behind lists."""

import json
import statistics
import threading
import time
import zlib
from collections.abc import Iterator

import pytest

from aimass.trainer.v1.trainer_pb2 import TrainingRun
from common.artifacts import ObjectInfo
from common.artifacts.memory import MemoryStore
from common.errors import UnavailableError
from common.records import RecordStore
from common.records.index import Index
from common.records.objects import RecordObjects
from common.testing.sample_records import run, start

COLLECTION = "trainingRuns"


class CountingStore(MemoryStore):
    """Counts reads and lists, and holds lists back while `gate` is clear."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.lists = 0
        self.snapshot = threading.Event()
        self.away = False
        self.listing = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def read(self, key: str) -> tuple[bytes, ObjectInfo]:
        self.reads += 1
        return super().read(key)

    def write(self, key: str, data: bytes) -> str:
        etag = super().write(key, data)
        if key.startswith("indexes/"):
            self.snapshot.set()
        return etag

    def list(self, prefix: str, after: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        self.lists += 1
        infos = [*super().list(prefix, after, recursive=recursive)]
        self.listing.set()
        self.gate.wait()
        if self.away:
            raise UnavailableError("away")
        return iter(infos)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


def names(index: Index[TrainingRun]) -> list[str]:
    """The names in an index, without a refresh."""
    return [record.name for _, record in index.after(None)]


def test_a_refresh_reads_what_changed_only(store: CountingStore) -> None:
    """Protects lists from costs that grow with what did not change."""
    writer, reader = RecordStore(store), RecordStore(store)
    for number in range(20):
        writer.create(run(f"trainingRuns/r{number}"))
    reader.find(COLLECTION, TrainingRun)
    store.reads = 0
    writer.update("trainingRuns/r7", TrainingRun, start)
    own = store.reads
    assert len(reader.find(COLLECTION, TrainingRun, "state=RUNNING")) == 1
    assert store.reads == own + 1


def many(store: CountingStore, count: int = 300) -> RecordStore:
    """Returns the records of another process that wrote and listed many runs, some deleted."""
    writer = RecordStore(store)
    for number in range(count):
        writer.create(run(f"trainingRuns/r{number}", created=number))
    writer.delete("trainingRuns/r0", TrainingRun)
    writer.find(COLLECTION, TrainingRun)
    assert store.snapshot.wait(10)
    return writer


def test_a_new_process_reads_a_snapshot_and_what_changed_since(store: CountingStore) -> None:
    """Protects the first list after a start from a read per record, and from what is old."""
    writer = many(store)
    writer.update("trainingRuns/r7", TrainingRun, start)
    writer.delete("trainingRuns/r8", TrainingRun)
    store.delete("records/trainingRuns/r9.json")
    store.reads = 0
    reader = RecordStore(store)
    expected = writer.find(COLLECTION, TrainingRun)
    assert reader.find(COLLECTION, TrainingRun) == expected
    assert len(expected) == 297
    assert store.reads < 20
    assert [each.name for each in reader.find(COLLECTION, TrainingRun, "state=RUNNING")] == [
        "trainingRuns/r7"
    ]


@pytest.mark.parametrize("content", [b"", b"{", zlib.compress(b'{"contract": 1}'), None])
def test_a_snapshot_that_does_not_fit_is_not_used(
    store: CountingStore, content: bytes | None
) -> None:
    """Protects lists from a damaged snapshot, and from one of another version of the contract."""
    writer = many(store)
    if content is None:
        data = zlib.decompress(store.read("indexes/trainingRuns.json")[0])
        head, rest = data.split(b"\n", 1)
        other = json.dumps(json.loads(head) | {"contract": "another"}).encode()
        content = zlib.compress(other + b"\n" + rest)
    store.write("indexes/trainingRuns.json", content)
    expected = writer.find(COLLECTION, TrainingRun)
    assert RecordStore(store).find(COLLECTION, TrainingRun) == expected


def test_records_that_change_often_are_no_news_for_a_snapshot(store: CountingStore) -> None:
    """Protects a busy suite from a snapshot every few seconds: it spares reads, one a record."""
    records = many(store)
    store.snapshot.clear()
    for _ in range(300):
        records.update("trainingRuns/r7", TrainingRun, start)
    records.find(COLLECTION, TrainingRun)
    assert not store.snapshot.wait(0.5)


def test_a_list_that_may_lag_spares_the_store(store: CountingStore) -> None:
    """Protects callers who need not know the newest; what was done or read here they know."""
    records, others = RecordStore(store), RecordStore(store)
    for name in ("a", "b", "c"):
        others.create(run(f"trainingRuns/{name}"))
    records.find(COLLECTION, TrainingRun)
    for name in ("a", "b"):
        others.update(f"trainingRuns/{name}", TrainingRun, start)
    records.update("trainingRuns/c", TrainingRun, start)
    records.get("trainingRuns/b", TrainingRun)
    store.lists = 0
    running = records.find(COLLECTION, TrainingRun, "state=RUNNING", max_age=60)
    assert [record.name for record in running] == ["trainingRuns/b", "trainingRuns/c"]
    assert store.lists == 0
    assert len(records.find(COLLECTION, TrainingRun, "state=RUNNING")) == 3


def test_an_update_keeps_the_order(store: CountingStore) -> None:
    """Protects lists from records that stand twice, or that show what they were."""
    records = RecordStore(store)
    for number in range(5):
        records.create(run(f"trainingRuns/r{number}", created=number))
    records.find(COLLECTION, TrainingRun)
    records.update("trainingRuns/r2", TrainingRun, start)
    records.delete("trainingRuns/r4", TrainingRun)
    records.update("trainingRuns/r0", TrainingRun, start)
    found = records.find(COLLECTION, TrainingRun, max_age=60)
    assert [record.name[-1] for record in found] == ["3", "2", "1", "0"]
    assert [record.resource.status.attempt for record in found] == [0, 1, 0, 1]


def test_damaged_and_foreign_objects_hide_nothing(store: CountingStore) -> None:
    """Protects lists from one bad object."""
    records = RecordStore(store)
    records.create(run())
    store.write("records/trainingRuns/damaged.json", b"{")
    store.write("records/trainingRuns/Not An Id.json", b"{}")
    store.write("records/trainingRuns/readme.txt", b"hello")
    assert [record.name for record in records.find(COLLECTION, TrainingRun)] == ["trainingRuns/a"]


def test_a_record_that_vanished_leaves_the_index(store: CountingStore) -> None:
    """Protects lists from records that an operator removed by hand."""
    records = RecordStore(store)
    records.create(run())
    assert records.find(COLLECTION, TrainingRun)
    store.delete("records/trainingRuns/a.json")
    assert records.find(COLLECTION, TrainingRun) == []


def test_a_create_during_a_refresh_is_not_forgotten(store: CountingStore) -> None:
    """Protects read-your-writes: a LIST that began before a create does not know it."""
    records = RecordStore(store)
    records.create(run())
    store.gate.clear()
    store.listing.clear()
    lister = threading.Thread(target=lambda: records.find(COLLECTION, TrainingRun))
    lister.start()
    assert store.listing.wait(10)
    records.create(run("trainingRuns/b"))
    store.gate.set()
    lister.join()
    assert len(records.find(COLLECTION, TrainingRun)) == 2


def test_waiting_callers_share_a_refresh(store: CountingStore) -> None:
    """Protects the store from a LIST per caller when many ask at once."""
    RecordStore(store).create(run())
    records = RecordStore(store)
    store.gate.clear()
    store.listing.clear()
    callers = [
        threading.Thread(target=lambda: records.find(COLLECTION, TrainingRun)) for _ in range(20)
    ]
    callers[0].start()
    assert store.listing.wait(10)
    for caller in callers[1:]:
        caller.start()
    time.sleep(0.1)  # Nothing tells when a thread waits for a lock; too soon only weakens the test.
    store.gate.set()
    for caller in callers:
        caller.join()
    assert store.lists <= 4


def lagging(store: CountingStore) -> Index[TrainingRun]:
    """Returns a warm index for which every LIST is expensive."""
    index = Index(RecordObjects(store, lambda stored: None), COLLECTION, TrainingRun, cheap=-1.0)
    index.refresh()
    return index


def test_an_expensive_list_is_served_from_what_is_known(store: CountingStore) -> None:
    """Protects callers from waiting for a LIST of thousands; the refresh goes on behind them."""
    RecordStore(store).create(run())
    index = lagging(store)
    RecordStore(store).create(run("trainingRuns/b"))
    store.gate.clear()
    store.listing.clear()
    deadline = time.monotonic() + 10
    while not store.listing.is_set() and time.monotonic() < deadline:
        index.refresh()
        assert names(index) == ["trainingRuns/a"]
    store.gate.set()
    while len(names(index)) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert names(index) == ["trainingRuns/a", "trainingRuns/b"]


def test_a_failed_refresh_in_the_background_is_tried_again(store: CountingStore) -> None:
    """Protects against an index that stays behind for ever after one failure."""
    RecordStore(store).create(run())
    index = lagging(store)
    RecordStore(store).create(run("trainingRuns/b"))
    store.away = True
    deadline = time.monotonic() + 10
    seen = store.lists
    while store.lists < seen + 2 and time.monotonic() < deadline:
        index.refresh()
    store.away = False
    while len(names(index)) < 2 and time.monotonic() < deadline:
        index.refresh()
    assert names(index) == ["trainingRuns/a", "trainingRuns/b"]


def test_the_first_refresh_tells_its_failure(store: CountingStore) -> None:
    """Protects callers from an empty list that means "not reached"."""
    store.away = True
    with pytest.raises(UnavailableError):
        RecordStore(store).find(COLLECTION, TrainingRun)


def test_ten_thousand_records_page_quickly(store: CountingStore) -> None:
    """Protects ListTrainingRuns on a busy suite: far below 300 ms a page, with a filter too."""
    records = RecordStore(store)
    for number in range(10_000):
        team = "vision" if number % 100 == 0 else "speech"
        records.create(run(f"trainingRuns/r{number}", team=team, created=number))
    first = records.list(COLLECTION, TrainingRun)
    times: list[float] = []
    token = first.next_page_token
    for text in ("", "", "", "state=PENDING AND labels.team=vision", "labels.team=none"):
        began = time.perf_counter()
        page = records.list(COLLECTION, TrainingRun, filter=text, page_token="" if text else token)
        times.append(time.perf_counter() - began)
        token = token if text else page.next_page_token
    assert statistics.median(times) < 0.3
