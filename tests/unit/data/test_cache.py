"""The host's cache: built once, shared, bounded, repaired."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.memory import MemoryStore
from common.data.cache import HostCache
from common.data.schema import Column, ColumnType, Part, Schema
from common.errors import DataLossError, UnavailableError
from tests.unit.data.support import PARTS, full_schema, numbers_version, store_version


class CountingStore(MemoryStore):
    """Counts downloads; `broken` makes them fail."""

    def __init__(self) -> None:
        super().__init__()
        self.downloads = 0
        self.broken = False

    def download(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `ObjectStore`."""
        if self.broken:
            raise UnavailableError("away")
        self.downloads += 1
        return super().download(key, offset, length)


def table(store: MemoryStore, seed: int = 0, rows: int = 1000) -> dataset_pb2.DatasetVersion:
    """Writes a version of random numbers."""
    random = np.random.default_rng(seed)
    return numbers_version(store, random.random((rows, 3)), random.integers(0, 3, rows, np.uint8))


def test_columns_parts_and_labels(tmp_path: Path) -> None:
    """All columns but text are there as memory maps, with labels and the rows of each part."""
    store = MemoryStore()
    schema, batch = full_schema()
    version = store_version(store, schema, (batch, PARTS), (batch, PARTS))
    cached = HostCache(tmp_path).table(version, store)
    assert cached.row_count == 10
    assert cached.schema == schema
    assert cached.column("colour").tolist() == [1, -1, 0, 1, 1] * 2
    assert cached.labels("colour") == ("blue", "red")
    assert cached.labels("truth") == ("false", "true")
    assert cached.column("picture").shape == (10, 1, 2, 2)
    assert cached.column("exact").dtype == np.float32
    assert isinstance(cached.column("wide"), np.memmap)
    assert not cached.column("wide").flags.writeable
    assert cached.rows(Part.TRAIN).tolist() == [0, 1, 4, 5, 6, 9]
    assert cached.rows(Part.TEST).dtype == np.int64
    with pytest.raises(KeyError):
        cached.column("note")


def test_all_columns_of_a_wide_table_are_there(tmp_path: Path) -> None:
    """Shards are decoded a few columns at a time: none of them is lost or takes another's place."""
    store = MemoryStore()
    values = np.arange(40 * 100, dtype=np.float64).reshape(40, 100)
    version = numbers_version(store, values, np.zeros(40, np.uint8))
    cached = HostCache(tmp_path).table(version, store)
    for index, column in enumerate(cached.schema.columns):
        assert cached.column(column.name).tolist() == values[:, index].tolist()


def test_numbers_of_an_appended_piece_keep_their_precision(tmp_path: Path) -> None:
    """Single numbers and vectors alike: those before them may need a narrower type."""
    number, vector = Column("n", ColumnType.NUMERIC), Column("v", ColumnType.EMBEDDING, shape=(2,))
    schema = Schema((number, vector))
    store, pieces = MemoryStore(), []
    for kind in (pa.float32(), pa.float64()):
        arrays = [pa.array([0.1], kind), pa.array([[0.1, 0.3]], pa.list_(kind, 2))]
        batch = pa.RecordBatch.from_arrays(arrays, names=["n", "v"])
        pieces.append(store_version(store, schema, (batch, PARTS[:1])))
    version, appended = pieces
    version.base_version, version.row_count = "datasets/test/versions/1", 2
    version.shards.extend(appended.shards)
    cached = HostCache(tmp_path).table(version, store)
    assert cached.column("n").tolist() == [np.float32(0.1), 0.1]
    assert cached.column("v").tolist() == [[np.float32(0.1), np.float32(0.3)], [0.1, 0.3]]


def test_built_once(tmp_path: Path) -> None:
    """A second use, also by another cache on the same directory, downloads nothing."""
    store = CountingStore()
    version = table(store)
    first = HostCache(tmp_path).table(version, store)
    downloads = store.downloads
    second = HostCache(tmp_path).table(version, store)
    assert store.downloads == downloads
    assert np.array_equal(first.column("1"), second.column("1"))


def test_built_once_by_many_threads(tmp_path: Path) -> None:
    """Workers that start at the same moment wait for one of them to build."""
    store = CountingStore()
    version = table(store)
    barrier = threading.Barrier(8)

    def use(_: int) -> float:
        barrier.wait()
        return float(HostCache(tmp_path).table(version, store).column("0").sum())

    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(use, range(8)))
    assert len(set(sums)) == 1
    assert store.downloads == 2 * len(version.shards)


@pytest.mark.parametrize("damage", ["truncate", "overwrite", "remove", "contents", "boot"])
def test_damaged_entry_is_rebuilt(damage: str, tmp_path: Path) -> None:
    """An entry whose files are not as they were written is built again."""
    store = CountingStore()
    version = table(store)
    expected = np.array(HostCache(tmp_path).table(version, store).column("2"))
    entry = tmp_path / version.digest
    file = entry / "float64.npy"
    if damage == "truncate":
        os.truncate(file, 100)
    elif damage == "overwrite":
        file.write_bytes(bytes(file.stat().st_size))
    elif damage == "remove":
        file.unlink()
    elif damage == "contents":
        (entry / "contents.json").write_text("{")
    else:
        contents = json.loads((entry / "contents.json").read_text())
        contents["boot"] = "an earlier one"
        (entry / "contents.json").write_text(json.dumps(contents))
    downloads = store.downloads
    assert np.array_equal(HostCache(tmp_path).table(version, store).column("2"), expected)
    assert store.downloads > downloads


def test_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """A build that broke off is no entry; the next one succeeds."""
    store = CountingStore()
    version = table(store)
    store.broken = True
    with pytest.raises(UnavailableError):
        HostCache(tmp_path).table(version, store)
    store.broken = False
    assert HostCache(tmp_path).table(version, store).row_count == 1000


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    """The cache stays within its size and drops what was not used for longest."""
    store = MemoryStore()
    versions = [table(store, seed) for seed in range(3)]
    size = 3 * 8 * 1000 + 2000
    cache = HostCache(tmp_path, max_bytes=2 * size)
    first, second = (cache.table(version, store) for version in versions[:2])
    os.utime(tmp_path / versions[0].digest, (1, 1))
    os.utime(tmp_path / versions[1].digest, (2, 2))
    cache.table(versions[0], store)
    cache.table(versions[2], store)
    kept = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert kept == {versions[0].digest, versions[2].digest}
    # Who still uses the evicted entry keeps its maps.
    assert second.column("0").shape == first.column("0").shape
    assert float(second.column("0").sum()) > 0


def test_entry_larger_than_the_cache(tmp_path: Path) -> None:
    """What is asked for is kept whatever its size."""
    store = MemoryStore()
    version = table(store)
    cached = HostCache(tmp_path, max_bytes=1).table(version, store)
    assert cached.row_count == 1000
    assert (tmp_path / version.digest).is_dir()


def test_digest_that_is_no_digest(tmp_path: Path) -> None:
    """A digest becomes a path, so it is checked first."""
    version = dataset_pb2.DatasetVersion(name="datasets/x/versions/1", digest="../../etc")
    with pytest.raises(DataLossError):
        HostCache(tmp_path).table(version, MemoryStore())


def test_light_imports() -> None:
    """Who only needs a schema loads neither numpy nor pyarrow."""
    code = (
        "import sys, common.data.schema, common.data.messages;"
        "print([name for name in ('numpy', 'pyarrow', 'grpc') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
