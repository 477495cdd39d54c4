"""Data set versions decoded once per host, shared by all its processes as memory maps."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.protocol import ObjectStore
from common.data.arrays import Arrays, Make, open_arrays, write_arrays
from common.data.messages import schema_from_proto
from common.data.schema import ColumnType, Part, Schema
from common.data.split import Parts
from common.data.storage import Values
from common.errors import DataLossError

DEFAULT_MAX_BYTES = 20 * 1024**3
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class CachedDataset:
    """A data set version as memory maps.

    The maps stay good when the entry is removed from the cache meanwhile.

    Attributes:
        schema: The version's schema.
        parts: Part of the split of each row, shape (rows,).
    """

    schema: Schema
    parts: Parts
    _columns: dict[str, Values]

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return len(self.parts)

    def column(self, name: str) -> Values:
        """Returns the values of a column, read-only, as `common.data.storage.decode` gives them.

        Raises:
            KeyError: There is no such column, or it is text, which is not kept decoded: use
                `common.data.reader.stream_columns`.
        """
        return self._columns[name]

    def labels(self, name: str) -> tuple[str, ...]:
        """Returns what the codes of a categorical or boolean column stand for."""
        return self.schema.column(name).labels

    def rows(self, part: Part) -> npt.NDArray[np.int64]:
        """Returns the numbers of the rows of a part, ascending."""
        return np.flatnonzero(self.parts == part).astype(np.int64, copy=False)


@dataclass(frozen=True)
class Derivation:
    """What is made of columns of a data set version, a piece at a time.

    Attributes:
        names: The columns that it is made of.
        key: Tells it from others that are made of the same columns.
        make: Returns what is made of a piece's columns, by name, rows first; None for the columns.
    """

    names: tuple[str, ...]
    key: str = ""
    make: Make | None = None


class HostCache:
    """A directory of decoded data set versions, one entry for each digest.

    Safe to use from several processes and threads: an entry is built by one under a lock, appears
    whole, and is used by all. Entries that were used least recently go first when the cache grows
    over its size. An entry whose files are not as they were written is built again.
    """

    def __init__(self, root: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Opens or makes the cache.

        Args:
            root: Its directory.
            max_bytes: Size of all entries to stay under; the one asked for is kept in any case.
        """
        self._root = root
        self._max_bytes = max_bytes
        root.mkdir(parents=True, exist_ok=True)

    def table(self, version: dataset_pb2.DatasetVersion, store: ObjectStore) -> CachedDataset:
        """Returns a version's data, from the cache or downloaded into it.

        Args:
            version: The version, with its shards.
            store: Where the shards are.

        Raises:
            DataLossError: A shard does not match its digest.
            OSError: The disk is full.
        """
        if _DIGEST.fullmatch(version.digest) is None:
            raise DataLossError(f"{version.name} carries no valid digest.")
        schema = schema_from_proto(version.schema)
        names = [item.name for item in schema.columns if item.type is not ColumnType.TEXT]
        arrays = self._arrays(version.digest, version, store, Derivation(tuple(names)))
        return CachedDataset(schema, arrays.parts, arrays.columns)

    def derived(
        self, version: dataset_pb2.DatasetVersion, store: ObjectStore, derivation: "Derivation"
    ) -> dict[str, Values]:
        """Returns what is made of a version's columns, from the cache or made into it.

        Args:
            version: See `table`.
            store: See `table`.
            derivation: How it is made.

        Raises:
            DataLossError: See `table`.
            OSError: See `table`.
        """
        words = json.dumps([version.digest, derivation.names, derivation.key])
        digest = hashlib.sha256(words.encode()).hexdigest()
        return self._arrays(digest, version, store, derivation).columns

    def _arrays(
        self,
        digest: str,
        version: dataset_pb2.DatasetVersion,
        store: ObjectStore,
        derivation: "Derivation",
    ) -> Arrays:
        with self._lock(digest, fcntl.LOCK_SH):
            found = self._open(digest)
        if found is not None:
            return found
        with self._lock(digest, fcntl.LOCK_EX):
            found = self._open(digest) or self._build(digest, version, store, derivation)
        self._evict(digest)
        return found

    def _open(self, digest: str) -> Arrays | None:
        arrays = open_arrays(self._root / digest)
        if arrays is not None:
            os.utime(self._root / digest)
        return arrays

    def _build(
        self,
        digest: str,
        version: dataset_pb2.DatasetVersion,
        store: ObjectStore,
        derivation: "Derivation",
    ) -> Arrays:
        entry = self._root / digest
        building = self._root / f"{digest}.building"
        _remove(building)
        _remove(entry)
        building.mkdir()
        write_arrays(building, version, store, derivation.names, derivation.make)
        building.rename(entry)
        found = self._open(digest)
        if found is None:
            raise OSError(f"the cache entry {entry} changed while it was written")
        return found

    def _evict(self, keep: str) -> None:
        """Removes what was used least recently until the rest fits."""
        entries = sorted(self._entries(), key=lambda entry: entry.used)
        total = sum(entry.size for entry in entries)
        for entry in entries:
            if total <= self._max_bytes:
                return
            if entry.digest != keep and self._try_remove(entry.digest):
                total -= entry.size

    def _entries(self) -> Iterator["_Entry"]:
        for path in self._root.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process evicts as well
                if _DIGEST.fullmatch(path.name) and path.is_dir():
                    size = sum(file.stat().st_size for file in path.iterdir())
                    yield _Entry(path.name, size, path.stat().st_mtime_ns)

    def _try_remove(self, digest: str) -> bool:
        try:
            with self._lock(digest, fcntl.LOCK_EX | fcntl.LOCK_NB):
                _remove(self._root / digest)
        except BlockingIOError:
            return False
        return True

    @contextlib.contextmanager
    def _lock(self, digest: str, operation: int) -> Iterator[None]:
        # The file stays: were it removed, two processes could hold locks on different files.
        with (self._root / f"{digest}.lock").open("w") as file:
            fcntl.flock(file, operation)
            yield


@dataclass(frozen=True)
class _Entry:
    digest: str
    size: int
    used: int


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
