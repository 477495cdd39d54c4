"""Lines of versions: numbers, latest, references, crashes."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from aimass.catalog.v1 import dataset_pb2
from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.errors import FailedPreconditionError, InvalidFieldError, NotFoundError
from common.names import DatasetVersionName
from common.records import RecordStore, RequestId
from common.testing.crash import crashes
from services.catalog.domain.versions import Versions
from services.catalog.kind import DATASETS

Datasets = Versions[dataset_pb2.Dataset, dataset_pb2.DatasetVersion]
DRAFT = dataset_pb2.DatasetVersion(row_count=3)
REQUEST = RequestId("me", "create", "6d1b6e0c-8a34-4b0c-9d63-3a51a0c1c9a1", "digest")


def versions_in(store: ObjectStore) -> Datasets:
    return Versions(store, RecordStore(store), DATASETS)


def create(versions: Datasets, request: RequestId | None = None) -> str:
    return versions.create("datasets/d", DRAFT, request, []).name


def name_of(number: int | None) -> DatasetVersionName:
    return DatasetVersionName("d", number)


def latest_number(versions: Datasets) -> int:
    return versions.get_parent("datasets/d").latest_version


def test_numbers_count_from_one() -> None:
    """The first version makes the line; each gets the next number; `latest` is the newest."""
    versions = versions_in(MemoryStore())
    with pytest.raises(NotFoundError):
        versions.get(name_of(None))
    assert [create(versions) for _ in range(3)] == [f"datasets/d/versions/{i}" for i in (1, 2, 3)]
    assert latest_number(versions) == 3
    assert versions.get(name_of(None)).name == "datasets/d/versions/3"
    assert versions.get(name_of(2)).row_count == 3
    assert versions.get_parent("datasets/d").HasField("create_time")
    page = versions.list("datasets/d", 2, "")
    assert [version.name[-1] for version in page.resources] == ["3", "2"]
    rest = versions.list("datasets/d", 2, page.next_page_token)
    assert [version.name[-1] for version in rest.resources] == ["1"]
    assert not rest.next_page_token


def test_repeat_returns_the_first_result() -> None:
    """A repeat of a request makes no second version and takes no number."""
    versions = versions_in(MemoryStore())
    assert create(versions, REQUEST) == create(versions, REQUEST)
    assert create(versions) == "datasets/d/versions/2"


def test_many_at_once() -> None:
    """Numbers of versions that are made at the same time are distinct and without gaps."""
    store = MemoryStore()
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: create(versions_in(store)), range(24)))
    assert sorted(int(name.rpartition("/")[2]) for name in names) == list(range(1, 25))
    assert latest_number(versions_in(store)) == 24


def test_deletion() -> None:
    """A deleted number is not given again; `latest` goes back to the newest that is left."""
    versions = versions_in(MemoryStore())
    for _ in range(3):
        create(versions)
    versions.delete(name_of(3))
    assert latest_number(versions) == 2
    assert versions.get(name_of(None)).name == "datasets/d/versions/2"
    assert create(versions) == "datasets/d/versions/4"
    for number in (1, 2, 4):
        versions.delete(name_of(number))
    assert latest_number(versions) == 0
    with pytest.raises(NotFoundError, match="has no version"):
        versions.get(name_of(None))
    with pytest.raises(InvalidFieldError, match="by its number"):
        versions.delete(name_of(None))


def test_withdrawn_version_leaves_no_trace() -> None:
    """The line goes with its only version, stays where it has another, and can be made anew."""
    versions = versions_in(MemoryStore())
    create(versions)
    versions.withdraw(name_of(1))
    with pytest.raises(NotFoundError):
        versions.get_parent("datasets/d")
    assert [create(versions) for _ in range(2)] == [f"datasets/d/versions/{i}" for i in (2, 3)]
    versions.withdraw(name_of(3))
    assert latest_number(versions) == 2


def test_withdrawals_and_creations_at_once() -> None:
    """No version that stands loses its line to the withdrawal of another."""
    store = MemoryStore()

    def work(index: int) -> str:
        versions = versions_in(store)
        name = create(versions)
        if index % 2:
            versions.withdraw(DatasetVersionName.from_name(name))
        return name

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(work, range(40)))
    kept = max(int(name.rpartition("/")[2]) for name in names[::2])
    assert latest_number(versions_in(store)) == kept


def test_data_goes_with_the_version() -> None:
    """What the version names as its own is deleted with it."""
    store = MemoryStore()
    versions = versions_in(store)
    create(versions)
    store.write("runs/a/data/1", b"")
    store.write("runs/b/data/1", b"")
    versions.delete(name_of(1), lambda version: ["runs/a/data/"])
    assert [info.key for info in store.list("runs/")] == ["runs/b/data/1"]


def test_references_hold() -> None:
    """What a version came from cannot be deleted; a version that is used cannot either."""
    store = MemoryStore()
    records = RecordStore(store)
    versions = Versions(store, records, DATASETS)
    records.create(dataset_pb2.DatasetImport(name="datasetImports/i"))
    version = versions.create("datasets/d", DRAFT, None, ["datasetImports/i"])
    with pytest.raises(FailedPreconditionError, match="datasets/d/versions/1"):
        records.delete("datasetImports/i", dataset_pb2.DatasetImport)
    records.create(dataset_pb2.DatasetImport(name="datasetImports/user"), references=[version.name])
    with pytest.raises(FailedPreconditionError, match="datasetImports/user"):
        versions.delete(name_of(1))
    with pytest.raises(NotFoundError):
        versions.create("datasets/new", DRAFT, None, ["datasetImports/missing"])
    with pytest.raises(NotFoundError):
        versions.get_parent("datasets/new")


def prepare(store: ObjectStore) -> None:
    """Puts a version of somebody else's in front."""
    create(versions_in(store))


def test_create_survives_a_crash_anywhere() -> None:
    """Whatever happens at whichever operation, the repeat leaves exactly one version."""
    count = 0
    for crash in crashes(prepare, lambda store: create(versions_in(store), REQUEST)):
        versions = versions_in(crash.store)
        latest = versions.get(name_of(None)).name
        assert versions.get_parent("datasets/d").latest_version == int(latest[-1]), crash
        name = create(versions, REQUEST)
        names = [version.name for version in versions.list("datasets/d", 0, "").resources]
        assert len(names) == 2, crash
        assert names[0] == name, crash
        assert versions.get(name_of(None)).name == name, crash
        count += 1
    assert count > 20


def test_delete_survives_a_crash_anywhere() -> None:
    """Whatever happens, a version is either there or gone, and `latest` names one that is there."""

    def prepare_two(store: ObjectStore) -> None:
        prepare(store)
        prepare(store)

    def delete(store: ObjectStore) -> None:
        versions_in(store).delete(name_of(2))

    for crash in crashes(prepare_two, delete):
        versions = versions_in(crash.store)
        found = versions.get(name_of(None)).name
        assert found in ("datasets/d/versions/1", "datasets/d/versions/2"), crash
        with contextlib.suppress(NotFoundError, FailedPreconditionError):
            versions.delete(name_of(2))
        assert latest_number(versions) == int(versions.get(name_of(None)).name[-1]), crash
