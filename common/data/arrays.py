"""The files of one cache entry: numpy arrays with a table of contents."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.protocol import ObjectStore
from common.data.messages import schema_from_proto
from common.data.reader import OpenShard
from common.data.split import Parts
from common.data.storage import Values

_CONTENTS = "contents.json"
_PARTS = "parts.npy"
_AT_ONCE = 32
"""Columns of a shard that are decoded at a time: all of them may be as large as the shard."""
Columns = Mapping[str, Values]
Make = Callable[[Columns], Columns]


@dataclass(frozen=True)
class Arrays:
    """Memory maps of an entry.

    Attributes:
        columns: Values by column name.
        parts: Part of the split of each row.
    """

    columns: dict[str, Values]
    parts: Parts


def open_arrays(entry: Path) -> Arrays | None:
    """Maps the files of an entry; None where one is missing or not as it was written."""
    try:
        contents = json.loads((entry / _CONTENTS).read_text())
        if contents["boot"] != _boot_id():
            return None
        if any(_stamp(entry / name) != stamp for name, stamp in contents["files"].items()):
            return None
        maps = {name: np.load(entry / name, mmap_mode="r") for name in contents["files"]}
        places = contents["columns"].items()
        columns = {name: _view(maps[file], index) for name, (file, index) in places}
        return Arrays(columns, maps[_PARTS])
    except (OSError, ValueError, KeyError):
        return None


def write_arrays(
    entry: Path,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    names: Sequence[str],
    make: Make | None = None,
) -> None:
    """Downloads the shards of a version and writes its columns, or what is made of these.

    Columns of one type lie in one file, one after the other, so that a table of a thousand columns
    does not take a thousand files.

    Args:
        entry: An empty directory.
        version: The version.
        store: Where the shards are.
        names: The columns to read.
        make: Returns what to write of a piece, by name, rows first; None for the columns.
    """
    schema = schema_from_proto(version.schema)
    # The numbers of an appended piece may need a wider type than those before.
    writer = _Writer(entry, version.row_count, wide=bool(version.base_version))
    for shard in version.shards:
        opened = OpenShard(shard, schema, store)
        writer.write(_pieces(opened, names, make), opened.parts)
        del opened  # it must not stay in memory while the next one is read
    writer.finish()


class _Decoded:
    """The columns of a shard, a few at a time, whenever they are iterated."""

    def __init__(self, shard: OpenShard, names: Sequence[str]) -> None:
        self._shard = shard
        self._names = names

    def __iter__(self) -> Iterator[Columns]:
        for start in range(0, len(self._names), _AT_ONCE):
            yield self._shard.columns(self._names[start : start + _AT_ONCE])


def _pieces(shard: OpenShard, names: Sequence[str], make: Make | None) -> Iterable[Columns]:
    """Returns what to write of a shard, some columns at a time."""
    return _Decoded(shard, names) if make is None else [make(shard.columns(names))]


class _Writer:
    def __init__(self, entry: Path, rows: int, *, wide: bool) -> None:
        self._wide = wide
        self._entry = entry
        self._rows = rows
        self._filled = 0
        self._maps: dict[str, Values] = {}
        self._places: dict[str, tuple[str, int | None]] = {}

    def write(self, pieces: Iterable[Columns], parts: Parts) -> None:
        if not self._maps:
            self._make_maps(pieces)
        rows = slice(self._filled, self._filled + len(parts))
        self._maps[_PARTS][rows] = parts
        for columns in pieces:
            for name, values in columns.items():
                file, index = self._places[name]
                _view(self._maps[file], index)[rows] = values
        self._filled = rows.stop

    def finish(self) -> None:
        files = {name: _stamp(self._entry / name) for name in self._maps}
        contents = {"boot": _boot_id(), "files": files, "columns": self._places}
        (self._entry / _CONTENTS).write_text(json.dumps(contents))

    def _make_maps(self, pieces: Iterable[Columns]) -> None:
        counts: dict[str, int] = {}
        for name, values in (item for columns in pieces for item in columns.items()):
            is_number = values.dtype.kind == "f"
            dtype = np.dtype(np.float64) if self._wide and is_number else values.dtype
            if values.ndim > 1:
                file = f"image-{len(self._maps)}.npy"
                self._make(file, dtype, (self._rows, *values.shape[1:]))
                self._places[name] = (file, None)
            else:
                file = f"{dtype}.npy"
                self._places[name] = (file, counts.get(file, 0))
                counts[file] = counts.get(file, 0) + 1
        for file, count in counts.items():
            self._make(file, np.dtype(file.removesuffix(".npy")), (count, self._rows))
        self._make(_PARTS, np.dtype(np.uint8), (self._rows,))

    def _make(self, file: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> None:
        path = self._entry / file
        self._maps[file] = np.lib.format.open_memmap(path, "w+", dtype, shape)


def _view(values: Values, index: int | None) -> Values:
    view: Values = values if index is None else values[index]
    return view


def _boot_id() -> str:
    """Returns what changes when the machine starts anew.

    Entries are not forced to the disk, which would take longer than making them; so one that was
    written before a power cut may have holes.
    """
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
