"""Imports a file: one pass to learn what is in it, one to write it as shards."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from common.data.schema import Schema
from common.data.shards import Publish, ShardWriter, WrittenData
from services.catalog.domain import fields
from services.catalog.domain.groups import RowsBefore
from services.catalog.domain.inference import ImportPlan, plan_import, resolve_target
from services.catalog.domain.profile import ColumnProfile
from services.catalog.domain.sample import RowSample
from services.catalog.domain.series import with_series
from services.catalog.domain.sources.base import MisreadError, RawKind, Source
from services.catalog.domain.spec import CsvOptions, ImportSpec, SplitSpec
from services.catalog.domain.splitting import Assign, resolve_split, split_rows

# Called with a stage and the rows done in it, and the rows of all where they are known (else 0).
Progress = Callable[[str, int, int], None]

READING = "reading"
WRITING = "writing"

_VECTORS = (RawKind.IMAGE, RawKind.EMBEDDING)


@dataclass(frozen=True)
class ImportedData:
    """What an import made.

    Attributes:
        schema: Columns, target and task.
        split: How the rows were split, nothing left open.
        data: The shards.
        csv: How the CSV file is written; None for other formats.
    """

    schema: Schema
    split: SplitSpec
    data: WrittenData
    csv: CsvOptions | None = None


def import_source(
    source: Source,
    spec: ImportSpec,
    scratch: Path,
    publish: Publish,
    progress: Progress,
    before: RowsBefore | None = None,
) -> ImportedData:
    """Reads a source twice and writes its rows as shards.

    Args:
        source: The rows.
        spec: What was asked for.
        scratch: Directory for a shard before it is published.
        publish: Stores a finished shard.
        progress: Told how far the import has come; may raise to stop it.
        before: What the version has to which the rows are appended.

    Raises:
        InvalidFieldError: The data does not allow what was asked for. Shards may have been
            published; nothing refers to them.
    """
    target = resolve_target(spec, source.columns, source.found.target)
    profiles = _profile(source, spec, target, progress)
    plan = plan_import(spec, profiles, target, before.labels(target) if before else ())
    rows = plan.row_count
    if spec.time_series is not None:
        plan = with_series(
            plan, source, spec.time_series, scratch, lambda: progress(READING, rows, rows)
        )
    split = resolve_split(spec.split, plan.schema)
    assign = split_rows(source, plan, split, lambda: progress(WRITING, 0, rows), before)
    with ShardWriter(plan.schema, plan.storage, scratch, publish) as writer:
        data = _write(source, plan, assign, writer, progress)
    return ImportedData(plan.schema, split, data, source.found.csv)


def _profile(
    source: Source, spec: ImportSpec, target: str, progress: Progress
) -> dict[str, ColumnProfile]:
    """Learns what is in each column. Images are left out where there are other columns.

    Raises:
        InvalidFieldError: There are no rows, or the file is damaged.
    """
    while True:
        try:
            return _profile_once(source, spec, target, progress)
        except MisreadError:
            continue


def _profile_once(
    source: Source, spec: ImportSpec, target: str, progress: Progress
) -> dict[str, ColumnProfile]:
    labelled = {target, *spec.targets, *spec.column_types}
    profiles = {
        raw.name: ColumnProfile(raw, want_labels=raw.name in labelled) for raw in source.columns
    }
    surveyed = [raw.name for raw in source.columns if raw.kind is not RawKind.IMAGE]
    plain = [raw.name for raw in source.columns if raw.kind not in _VECTORS]
    sample = RowSample()
    rows = 0
    for batch in source.batches(surveyed or list(profiles)):
        sample.update(batch.select(plain))
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            profiles[name].update(values)
        rows += batch.num_rows
        progress(READING, rows, 0)
    if rows == 0:
        raise fields.bad_file("the file has no rows", "EMPTY_FILE")
    for name, profile in profiles.items():
        profile.rows = rows
        if name in plain:
            profile.sample, profile.scale = sample.column(name), sample.scale
    return profiles


def _write(
    source: Source, plan: ImportPlan, assign: Assign, writer: ShardWriter, progress: Progress
) -> WrittenData:
    done = 0
    for batch in source.batches([planned.column.name for planned in plan.columns]):
        arrays = [
            planned.encode(values)
            for planned, values in zip(plan.columns, batch.columns, strict=True)
        ]
        encoded = pa.RecordBatch.from_arrays(arrays, schema=plan.storage)
        writer.write(encoded, assign(encoded))
        done += batch.num_rows
        progress(WRITING, done, plan.row_count)
    return writer.finish()
