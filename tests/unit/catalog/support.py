"""Imports bytes in memory and reads the result back, for the catalog's unit tests."""

import io
import secrets
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import artifact_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.data.messages import schema_to_proto
from common.data.reader import stream_columns
from common.data.schema import ColumnType, Part, Schema, Task
from common.data.storage import Values
from common.errors import InvalidFieldError
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.groups import RowsBefore
from services.catalog.domain.importer import ImportedData, import_source
from services.catalog.domain.sources.archive import ArchiveLimits
from services.catalog.domain.sources.opening import open_source
from services.catalog.domain.spec import ImportSpec, SplitSpec


def grouped_csv(groups: list[str]) -> bytes:
    """Returns a CSV with a column `g` of groups."""
    return ("g,x\n" + "".join(f"{group},{row}\n" for row, group in enumerate(groups))).encode()


@dataclass(frozen=True)
class Imported:
    """What an import made, read back.

    Attributes:
        data: What the importer returned.
        columns: Decoded values by name.
        parts: Part of the split of each row.
        progress: What the importer told of itself.
    """

    data: ImportedData
    columns: dict[str, Values]
    parts: npt.NDArray[np.uint8]
    progress: list[tuple[str, int, int]]

    @property
    def schema(self) -> Schema:
        """The schema."""
        return self.data.schema

    def labels(self, name: str) -> list[str | None]:
        """Returns a categorical or boolean column as labels."""
        labels = self.schema.column(name).labels
        return [labels[code] if code >= 0 else None for code in self.columns[name]]

    def rows(self, part: Part) -> int:
        """Returns the number of rows of a part."""
        return int(np.count_nonzero(self.parts == part))


def import_bytes(
    content: bytes,
    file_format: DataFormat | None = DataFormat.CSV,
    *,
    target: str = "",
    task: Task | None = None,
    column_types: Mapping[str, ColumnType] | None = None,
    split: SplitSpec | None = None,
    limits: ArchiveLimits | None = None,
    store: MemoryStore | None = None,
    before: RowsBefore | None = None,
    **asked: Any,
) -> Imported:
    """Imports bytes as the job does, into memory; `asked` are further fields of the request."""
    spec = ImportSpec(
        dataset="datasets/test",
        upload="uploads/test",
        target=target,
        task=task,
        column_types=dict(column_types or {}),
        split=split or SplitSpec(),
        **asked,
    )
    store = store or MemoryStore()
    prefix = f"runs/{secrets.token_hex(8)}"
    progress: list[tuple[str, int, int]] = []

    def publish(file: Path, name: str) -> artifact_pb2.ArtifactRef:
        return put_artifact(store, f"{prefix}/{name}", file, "test")

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        path = scratch / "upload"
        path.write_bytes(content)
        with open_source(path, file_format, scratch, spec, limits) as source:
            data = import_source(
                source, spec, scratch, publish, lambda *news: progress.append(news), before
            )
    version = version_of(data)
    names = [column.name for column in data.schema.columns]
    batches = list(stream_columns(version, store, names))
    columns = {name: np.concatenate([batch.columns[name] for batch in batches]) for name in names}
    return Imported(data, columns, np.concatenate([batch.parts for batch in batches]), progress)


def version_of(data: ImportedData) -> dataset_pb2.DatasetVersion:
    """Returns a version message of imported data."""
    return dataset_pb2.DatasetVersion(
        name="datasets/test/versions/1",
        digest=data.data.digest,
        schema=schema_to_proto(data.schema),
        row_count=data.data.counts.total,
        shards=data.data.shards,
    )


def zip_of(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Returns a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def picture(
    pixels: npt.NDArray[np.generic] | None = None, kind: str = "PNG", mode: str | None = None
) -> bytes:
    """Returns an encoded image; a small gray one by default."""
    if pixels is None:
        pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind)
    return buffer.getvalue()


def npz_of(**arrays: npt.NDArray[np.generic]) -> bytes:
    """Returns a NumPy archive."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def field_of(error: InvalidFieldError) -> str:
    """Returns the field that an error names."""
    return error.violations[0].field
