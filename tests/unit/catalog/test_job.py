"""The import's job: publishes one version, whatever happens to its attempts."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aimass.catalog.v1 import dataset_pb2, transfer_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.artifacts.protocol import Chunk
from common.data import shards
from common.errors import InvalidFieldError, NotFoundError
from common.names import DatasetVersionName
from common.records import RecordStore
from common.runs.errors import RunCancelledError
from common.runs.lease import Lease
from common.runs.owner import RunOwner
from common.runs.publishing import run_uuid
from common.testing.crash import SimulatedCrash
from services.catalog import publishing
from services.catalog.domain.sources import base
from services.catalog.domain.uploads import Uploads, UploadWriter
from services.catalog.domain.versions import Versions
from services.catalog.job import run_import
from services.catalog.kind import DATASET_IMPORTS, DATASETS
from tests.unit.catalog.support import picture, zip_of

Owner = RunOwner[dataset_pb2.DatasetImport]
NAME = "datasetImports/i"
CSV = b"x,y\n" + b"1,a\n2,b\n" * 20


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The job's scratch directory."""
    monkeypatch.setenv("AIMASS_IMPORT_SCRATCH_DIR", str(tmp_path))
    return tmp_path


def prepared(
    content: bytes = CSV,
    file_format: dataset_pb2.DataFormat.ValueType = dataset_pb2.DATA_FORMAT_CSV,
    store: MemoryStore | None = None,
) -> MemoryStore:
    """Returns a store with an upload and a run that is to import it."""
    store = store or MemoryStore()
    add_run(store, NAME, content, format=file_format)
    return store


def add_run(store: MemoryStore, name: str, content: bytes, **spec: Any) -> None:
    """Adds an upload and a run that is to import it."""
    records = RecordStore(store)
    upload = f"uploads/{name.rpartition('/')[2]}"
    header = transfer_pb2.UploadHeader(
        name=upload,
        total_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        filename="f.csv",
    )
    writer = Uploads(store, records).begin(header)
    assert isinstance(writer, UploadWriter)
    writer.add(content)
    writer.finish()
    run = dataset_pb2.DatasetImport(
        name=name,
        spec=dataset_pb2.DatasetImportSpec(dataset="datasets/d", upload=upload, **spec),
        status=run_pb2.RunStatus(state=run_pb2.RUN_STATE_PENDING),
        labels={"team": "a"},
    )
    run.status.create_time.GetCurrentTime()
    records.create(run)


@contextmanager
def attempt(store: MemoryStore, name: str = NAME) -> Iterator[Owner]:
    """Takes the run; lets go of it at the end, as a dead process does."""
    owner = RunOwner.acquire(DATASET_IMPORTS, name, store)
    try:
        yield owner
    finally:
        if not owner.ended:
            owner.abandon()


def run_of(store: MemoryStore) -> dataset_pb2.DatasetImport:
    return RecordStore(store).get(NAME, dataset_pb2.DatasetImport).resource


def versions_of(store: MemoryStore) -> list[dataset_pb2.DatasetVersion]:
    found = RecordStore(store).find("datasets/d/versions", dataset_pb2.DatasetVersion)
    return [record.resource for record in found]


def test_success(scratch: Path) -> None:
    """The run carries what was decided; the version carries where it came from."""
    store = prepared()
    with attempt(store) as owner:
        run_import(owner)
    run, (version,) = run_of(store), versions_of(store)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert run.dataset_version == version.name == "datasets/d/versions/1"
    assert run.spec.target == "y"
    assert run.spec.task == dataset_pb2.TASK_CLASSIFICATION
    assert run.spec.split.method == dataset_pb2.SPLIT_METHOD_STRATIFIED
    assert list(run.status.lineage.outputs) == [version.name]
    assert list(version.lineage.inputs) == [NAME, "uploads/i"]
    assert dict(version.labels) == {"team": "a"}
    assert version.shards[0].data.uri.startswith(f"s3://aimass/runs/{NAME}/attempts/1/data/")
    assert not list(scratch.iterdir())


def test_take_over_after_the_version_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that died between version and end has its version published, not a second one."""
    store = prepared()
    with attempt(store) as owner:

        def die(*_: object) -> None:
            raise SimulatedCrash

        monkeypatch.setattr(owner, "succeed", die)
        with pytest.raises(SimulatedCrash):
            run_import(owner)
    assert run_of(store).status.state == run_pb2.RUN_STATE_RUNNING
    with attempt(store) as owner:
        assert owner.attempt == 2
        run_import(owner)
    (version,) = versions_of(store)
    assert run_of(store).dataset_version == version.name
    assert "/attempts/1/" in version.shards[0].data.uri


def test_take_over_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that died while it wrote shards leaves nothing that counts."""
    store = prepared()
    with attempt(store) as owner:

        def die(*_: object) -> str:
            raise SimulatedCrash

        monkeypatch.setattr(Versions, "_next_number", die)
        with pytest.raises(SimulatedCrash):
            run_import(owner)
        monkeypatch.undo()
    assert not versions_of(store)
    with attempt(store) as owner:
        run_import(owner)
    (version,) = versions_of(store)
    assert "/attempts/2/" in version.shards[0].data.uri
    assert not list(store.list(f"runs/{NAME}/attempts/1/"))


def test_cancel_that_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel between version and end takes the version away again."""
    store = prepared()
    with attempt(store) as owner:
        make = Versions.create

        def create_and_cancel(*args: Any, **kwargs: Any) -> object:
            version = make(*args, **kwargs)
            RecordStore(store).update(NAME, dataset_pb2.DatasetImport, cancelling)
            return version

        monkeypatch.setattr(Versions, "create", create_and_cancel)
        with pytest.raises(RunCancelledError):
            run_import(owner)
    assert not versions_of(store)
    assert not [info.key for info in store.list("runs/") if info.key.endswith(".parquet")]
    versions = Versions(store, RecordStore(store), DATASETS)
    with pytest.raises(NotFoundError):
        versions.get(DatasetVersionName("d", None))


def test_cancel_while_it_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cancelled after its rows were written leaves no shards."""
    store = prepared()
    Lease(store, "publishing/datasets/d.json", owner="other", ttl=60).acquire()
    written: list[str] = []
    with attempt(store) as owner:

        def cancel(_: float) -> None:
            written.extend(info.key for info in store.list(f"runs/{NAME}/attempts/"))
            owner.cancelled.set()

        monkeypatch.setattr(publishing, "time", SimpleNamespace(sleep=cancel))
        with pytest.raises(RunCancelledError):
            run_import(owner)
    assert any(key.endswith(".parquet") for key in written)
    assert not [info.key for info in store.list("runs/") if info.key.endswith(".parquet")]


def test_turn_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn to publish lasts as long as what is done in it, beyond the lease's time to live."""
    with attempt(prepared()) as owner:
        monkeypatch.setenv("AIMASS_LEASE_TTL_SECONDS", "0.6")
        with publishing.publishing_turn(owner, "datasets/d") as turn:
            time.sleep(1.0)
            turn.check()


def cancelling(run: dataset_pb2.DatasetImport) -> dataset_pb2.DatasetImport:
    run.status.state = run_pb2.RUN_STATE_CANCELLING
    return run


def test_bad_data_leaves_no_version() -> None:
    """What the data shows raises the typed error and stores no version and no data set."""
    store = prepared(b"x,y\n1,a\n2,a\n")
    with attempt(store) as owner, pytest.raises(InvalidFieldError, match="single class"):
        run_import(owner)
    assert not versions_of(store)
    assert not RecordStore(store).find("datasets", dataset_pb2.Dataset)


def test_failure_while_writing_leaves_no_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of an import that fails in its second pass are deleted."""
    monkeypatch.setattr(base, "_BATCH_ROWS", 1)
    monkeypatch.setattr(shards, "MAX_SHARD_ROWS", 1)
    written: list[str] = []

    class Recording(MemoryStore):
        def upload(self, key: str, chunks: Iterable[Chunk]) -> int:
            written.append(key)
            return super().upload(key, chunks)

    files = {"a/1.png": picture(), "b/2.png": picture(), "b/3.png": picture()[:-30]}
    store = prepared(zip_of(files), dataset_pb2.DATA_FORMAT_IMAGE_ZIP, Recording())
    with attempt(store) as owner, pytest.raises(InvalidFieldError, match="damaged"):
        run_import(owner)
    assert written
    assert not [key for key in written if list(store.list(key))]


def test_scratch_of_a_killed_attempt_is_removed(scratch: Path) -> None:
    """What SIGKILL left on the disk goes with the next attempt at the run, or the next import."""
    store = prepared()
    fresh, dead = (scratch / f"aimass-import-{name}-1" for name in ("fresh", "dead"))
    for folder in (fresh, dead):
        folder.mkdir()
        (folder / "spool").write_bytes(b"x")
    os.utime(dead, (0, 0))
    with attempt(store) as owner:
        (scratch / f"aimass-import-{run_uuid(owner.run)}-left").mkdir()
        run_import(owner)
    assert list(scratch.iterdir()) == [fresh]
