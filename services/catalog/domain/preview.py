"""Which rows of a version a preview shows. Light: the rows are read elsewhere, see `rows`."""

import struct
from dataclasses import dataclass
from typing import Self

from aimass.catalog.v1 import dataset_pb2
from common.errors import InvalidFieldError
from common.wording import quoted
from services.catalog.domain.fields import listed

MAX_ROWS = 1000
_DEFAULT_ROWS = 20
_MAX_COLUMNS = 100
_HEAD = struct.Struct("<QI")


@dataclass(frozen=True)
class RowRange:
    """Rows to read.

    Attributes:
        version: The version with only those shards and columns that are needed.
        skip: Rows of the first shard before those wanted.
        count: Rows wanted.
    """

    version: dataset_pb2.DatasetVersion
    skip: int
    count: int

    def pack(self) -> bytes:
        """Returns this as bytes."""
        return _HEAD.pack(self.skip, self.count) + self.version.SerializeToString()

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Returns what `pack` packed."""
        version = dataset_pb2.DatasetVersion.FromString(packed[_HEAD.size :])
        return cls(version, *_HEAD.unpack_from(packed))


def choose_rows(
    version: dataset_pb2.DatasetVersion, request: dataset_pb2.PreviewDatasetRequest
) -> RowRange:
    """Returns what a preview needs of a version.

    Args:
        version: The version, with its shards.
        request: What the caller asked for.

    Raises:
        InvalidFieldError: Names the field that is wrong.
    """
    if request.offset < 0:
        raise InvalidFieldError(
            "offset", f"must be at least 0, the first row; it is {request.offset}"
        )
    if not 0 <= request.row_count <= MAX_ROWS:
        raise InvalidFieldError(
            "row_count",
            f"must be 1 to {MAX_ROWS}, or 0 for {_DEFAULT_ROWS}; it is {request.row_count}",
        )
    count = request.row_count or _DEFAULT_ROWS
    chosen = dataset_pb2.DatasetVersion(name=version.name)
    chosen.schema.task = version.schema.task
    chosen.schema.columns.extend(_columns(version.schema, list(request.columns)))
    skip, start = 0, 0
    for shard in version.shards:
        end = start + shard.row_count
        if start < request.offset + count and end > request.offset:
            skip = skip if chosen.shards else request.offset - start
            chosen.shards.append(shard)
        start = end
    return RowRange(chosen, skip, count)


def _columns(schema: dataset_pb2.Schema, names: list[str]) -> list[dataset_pb2.ColumnSchema]:
    if not names:
        return list(schema.columns[:_MAX_COLUMNS])
    if len(names) > _MAX_COLUMNS:
        raise InvalidFieldError(
            "columns", f"must be at most {_MAX_COLUMNS} names, not {len(names)}"
        )
    known = {column.name: column for column in schema.columns}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidFieldError(
            "columns",
            f"there is no column {listed(unknown)}; the columns are {listed(list(known))}",
            reason="UNKNOWN_COLUMN",
        )
    twice = next((name for name in known if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidFieldError("columns", f"names {quoted(twice)} twice; name each column once")
    return [known[name] for name in names]
