"""Imports that append to one data set at the same time: none builds on what is not the newest."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.data.reader import stream_columns
from common.records import RecordStore
from common.runs.errors import RunCancelledError
from common.runs.lease import Lease, LeaseHeldError
from common.runs.owner import RunOwner
from services.catalog.domain.versions import Versions
from services.catalog.job import run_import
from tests.unit.catalog.support import grouped_csv
from tests.unit.catalog.test_job import add_run, attempt, cancelling, versions_of

SECONDS = 20.0
GROUPED = dataset_pb2.SplitSpec(
    method=dataset_pb2.SPLIT_METHOD_GROUPED, column="g", validation_fraction=0.5
)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs' scratch directory."""
    monkeypatch.setenv("AIMASS_IMPORT_SCRATCH_DIR", str(tmp_path))


def work(store: MemoryStore, name: str) -> None:
    """Works on a run to its end."""
    with attempt(store, name) as owner:
        run_import(owner)


def base_and_runs(split: dataset_pb2.SplitSpec, runs: dict[str, tuple[bytes, bool]]) -> MemoryStore:
    """Returns a store with version 1 and runs that wait, each with its bytes, which may append.

    Each splits with a seed of its own.
    """
    store = MemoryStore()
    old = [f"old {row % 10}" for row in range(40)]
    add_run(store, "datasetImports/base", grouped_csv(old), format=1, split=split)
    work(store, "datasetImports/base")
    for seed, (name, (content, append)) in enumerate(runs.items()):
        own = dataset_pb2.SplitSpec(seed=seed)
        own.MergeFrom(split)
        run = f"datasetImports/{name}"
        add_run(store, run, content, format=1, append=append, split=own)
    return store


def note_waiting(note: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Has `note` called whenever a run finds that another has the turn to publish."""
    acquire = Lease.acquire

    def noting(lease: Lease, *args: Any, **kwargs: Any) -> None:
        try:
            acquire(lease, *args, **kwargs)
        except LeaseHeldError:
            if lease.key.startswith("publishing/"):
                note()
            raise

    monkeypatch.setattr(Lease, "acquire", noting)


def all_at_once(store: MemoryStore, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Works on runs in threads; none makes a version before all are about to, or wait for that."""
    there: set[int] = set()
    news = threading.Condition()
    make = Versions.create

    def arrive() -> None:
        with news:
            there.add(threading.get_ident())
            news.notify_all()

    def create(*args: Any, **kwargs: Any) -> object:
        arrive()
        with news:
            assert news.wait_for(lambda: len(there) == len(names), SECONDS)
        return make(*args, **kwargs)

    note_waiting(arrive, monkeypatch)
    monkeypatch.setattr(Versions, "create", create)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: work(store, f"datasetImports/{name}"), names))


def test_two_appends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two appends has its own base: the newest version has the rows of all."""
    random = dataset_pb2.SplitSpec(method=dataset_pb2.SPLIT_METHOD_RANDOM)
    more = {name: (grouped_csv([name] * 10), True) for name in ("a", "b")}
    store = base_and_runs(random, more)
    all_at_once(store, ["a", "b"], monkeypatch)
    newest, middle, _ = versions_of(store)
    assert (newest.base_version, middle.base_version) == (middle.name, "datasets/d/versions/1")
    assert (newest.row_count, middle.row_count) == (60, 50)


def test_append_and_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """An append whose base was replaced meanwhile reads its rows anew and appends to the newest."""
    other = {
        "a": (grouped_csv(["a"] * 10), True),
        "b": (grouped_csv([f"b {row}" for row in range(30)]), False),
    }
    store = base_and_runs(GROUPED, other)
    all_at_once(store, ["a", "b"], monkeypatch)
    newest, middle, _ = versions_of(store)
    assert newest.base_version in ("", middle.name)
    appended = next(version for version in (newest, middle) if version.base_version)
    base = "datasets/d/versions/1" if appended is middle else middle.name
    assert appended.base_version == base


def test_two_appends_of_one_new_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that comes new with both is in one part; no shard of a first reading is left."""
    new = [f"new {row}" for row in range(12)]
    store = base_and_runs(GROUPED, {name: (grouped_csv(new), True) for name in ("a", "b")})
    all_at_once(store, ["a", "b"], monkeypatch)
    newest = versions_of(store)[0]
    assert newest.row_count == 64
    parts: dict[object, set[int]] = {}
    for batch in stream_columns(newest, store, ["g"]):
        labels = [newest.schema.columns[0].categories[code] for code in batch.columns["g"]]
        for label, part in zip(labels, batch.parts.tolist(), strict=True):
            parts.setdefault(label, set()).add(part)
    assert len(parts) == 22
    assert all(len(found) == 1 for found in parts.values())
    stored = {info.key for info in store.list("runs/") if info.key.endswith(".parquet")}
    named = {
        ref.uri.partition("/runs/")[2]
        for shard in newest.shards
        for ref in (shard.data, shard.split)
    }
    assert stored == {f"runs/{key}" for key in named}


def test_cancel_that_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is appended to a version that a late cancel takes away."""
    random = dataset_pb2.SplitSpec(method=dataset_pb2.SPLIT_METHOD_RANDOM)
    store = base_and_runs(random, {name: (grouped_csv([name] * 10), True) for name in ("a", "b")})
    made, waits, succeed = threading.Event(), threading.Event(), RunOwner.succeed

    def succeed_late(owner: Any, change: Any) -> None:
        if owner.name.endswith("/a"):
            made.set()
            assert waits.wait(SECONDS)
            RecordStore(store).update(owner.name, dataset_pb2.DatasetImport, cancelling)
        succeed(owner, change)

    note_waiting(waits.set, monkeypatch)
    monkeypatch.setattr(RunOwner, "succeed", succeed_late)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(work, store, "datasetImports/a")
        assert made.wait(SECONDS)
        work(store, "datasetImports/b")
        assert isinstance(first.exception(), RunCancelledError)
    newest, _ = versions_of(store)
    assert (newest.base_version, newest.row_count) == ("datasets/d/versions/1", 50)


def held(store: MemoryStore, ttl: float) -> Lease:
    """Takes the turn to publish, as another process."""
    lease = Lease(store, "publishing/datasets/d.json", owner="other", ttl=ttl)
    lease.acquire()
    return lease


def test_turn_of_a_dead_run_is_taken_over() -> None:
    """A run that died in its turn holds up the others for no longer than its lease."""
    store = base_and_runs(GROUPED, {"a": (grouped_csv(["a"] * 10), True)})
    held(store, ttl=0.2)
    work(store, "datasetImports/a")
    assert versions_of(store)[0].row_count == 50


def test_cancel_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that waits for its turn can be cancelled."""
    store = base_and_runs(GROUPED, {"a": (grouped_csv(["a"] * 10), True)})
    held(store, ttl=60)
    with attempt(store, "datasetImports/a") as owner, pytest.raises(RunCancelledError):
        note_waiting(owner.cancelled.set, monkeypatch)
        run_import(owner)
    assert len(versions_of(store)) == 1


def test_take_over_completes_the_line() -> None:
    """A version whose `latest` was not raised before its run died is the newest in the end."""
    store = base_and_runs(GROUPED, {"a": (grouped_csv(["a"] * 10), True)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Versions, "_raise_latest", _die)
        with pytest.raises(KeyboardInterrupt):
            work(store, "datasetImports/a")
    work(store, "datasetImports/a")
    line = RecordStore(store).get("datasets/d", dataset_pb2.Dataset).resource
    assert line.latest_version == 2
    run = RecordStore(store).get("datasetImports/a", dataset_pb2.DatasetImport).resource
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED


def _die(*_: object) -> None:
    raise KeyboardInterrupt
