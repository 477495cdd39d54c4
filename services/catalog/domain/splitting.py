"""Which part of the split each row of an import belongs to."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from common.data.schema import Column, ColumnType, Part, Schema, Task
from common.data.split import (
    BlockAssigner,
    Codes,
    GroupAssigner,
    Keys,
    KeyTally,
    Parts,
    SplitAssigner,
    SplitPlan,
    split_blocks,
)
from common.errors import InvalidFieldError
from common.wording import quoted
from services.catalog.domain import fields
from services.catalog.domain.columns import ColumnPlan
from services.catalog.domain.groups import RowsBefore, group_keys
from services.catalog.domain.inference import ImportPlan
from services.catalog.domain.sources.base import Source
from services.catalog.domain.spec import SplitMethod, SplitSpec

# Gives the rows of an encoded batch their parts; called with the batches in order.
Assign = Callable[[pa.RecordBatch], Parts]

_TIMES = (ColumnType.TIMESTAMP, ColumnType.NUMERIC)
_VECTORS = (ColumnType.IMAGE, ColumnType.EMBEDDING)


def resolve_split(split: SplitSpec, schema: Schema) -> SplitSpec:
    """Returns the split with its method and column decided.

    Raises:
        InvalidFieldError: The data does not allow the method.
    """
    if split.method is None and schema.time_series is not None:
        return split.model_copy(
            update={"method": SplitMethod.TEMPORAL, "column": schema.time_series.time_column}
        )
    if split.method is SplitMethod.GROUPED:
        _check_group(_column(split.column, schema))
        return split
    if split.method is SplitMethod.TEMPORAL:
        column = _column(split.column or _only_time(schema), schema)
        _check_time(column)
        return split.model_copy(update={"column": column.name})
    classes = schema.task is Task.CLASSIFICATION
    if split.method is SplitMethod.STRATIFIED and not classes:
        raise InvalidFieldError(
            f"{fields.SPLIT}.method",
            f"a stratified split needs classes, and the task is {schema.task}; choose a random "
            "split or the task classification",
        )
    default = SplitMethod.STRATIFIED if classes else SplitMethod.RANDOM
    return split.model_copy(update={"method": split.method or default})


def split_rows(
    source: Source,
    plan: ImportPlan,
    split: SplitSpec,
    watch: Callable[[], None],
    before: RowsBefore | None = None,
) -> Assign:
    """Prepares the split of a source's rows; groups and times take a pass over their column.

    Args:
        source: The rows.
        plan: How its columns are stored.
        split: As `resolve_split` returned it.
        watch: Called now and then; may raise to stop.
        before: The version to which the rows are appended: its groups keep their parts, and too
            few new points in time all train.

    Raises:
        InvalidFieldError: There are fewer groups or times than parts.
    """
    shares = SplitPlan(split.validation_fraction, split.test_fraction, split.seed)
    if split.method is SplitMethod.GROUPED and before is not None:
        known = GroupAssigner(*before.read(split.column, split.seed, watch), shares)
        return lambda batch: known.assign(group_keys(batch.column(split.column), split.seed))
    if split.method in (SplitMethod.GROUPED, SplitMethod.TEMPORAL):
        by = next(each for each in plan.columns if each.column.name == split.column)
        grouped = split.method is SplitMethod.GROUPED
        return _by_blocks(source, by, shares, grouped, before is not None, watch)
    target = plan.target if split.method is SplitMethod.STRATIFIED else None
    assigner = SplitAssigner(shares, target.class_counts if target else (plan.row_count,))
    return lambda batch: assigner.assign(_codes(batch, target))


def _by_blocks(
    source: Source,
    by: ColumnPlan,
    shares: SplitPlan,
    grouped: bool,
    appends: bool,
    watch: Callable[[], None],
) -> Assign:
    """Prepares a split that keeps rows together which have one group or one time."""

    def keys_of(values: pa.Array) -> Keys:
        return group_keys(values, shares.seed) if grouped else _time_keys(values)

    tally = KeyTally()
    for batch in source.batches([by.column.name]):
        tally.add(keys_of(by.encode(batch.column(0))))
        watch()
    keys, sizes = tally.counts()
    try:
        parts = split_blocks(sizes, shares)
    except ValueError:
        if appends:
            return lambda batch: np.full(batch.num_rows, Part.TRAIN, np.uint8)
        what = "groups" if grouped else "points in time"
        raise InvalidFieldError(
            f"{fields.SPLIT}.column",
            f"column `{by.column.name}` has {len(keys)} {what}, too few to share out; choose "
            "another column, or fewer parts",
            reason="TOO_FEW_GROUPS",
        ) from None
    assigner = BlockAssigner(keys, parts)
    return lambda batch: assigner.assign(keys_of(batch.column(by.column.name)))


def _codes(batch: pa.RecordBatch, by: ColumnPlan | None) -> Codes:
    """Returns the class of each row by which the split is stratified."""
    if by is None:
        return np.zeros(batch.num_rows, np.int32)
    column = batch.column(by.column.name)
    classes = column.indices if pa.types.is_dictionary(column.type) else column.cast(pa.int32())
    codes: Codes = classes.to_numpy()
    return codes


def _time_keys(values: pa.Array) -> Keys:
    """Returns what the rows are ordered by."""
    whole = pa.int64() if pa.types.is_timestamp(values.type) else pa.float64()
    keys: Keys = values.cast(whole).to_numpy()
    return keys


def _column(name: str, schema: Schema) -> Column:
    found = next((column for column in schema.columns if column.name == name), None)
    if found is None:
        names = fields.listed([column.name for column in schema.columns])
        raise InvalidFieldError(
            f"{fields.SPLIT}.column",
            f"there is no column {quoted(name)}; the columns are {names}",
            reason="UNKNOWN_COLUMN",
        )
    return found


def _only_time(schema: Schema) -> str:
    times = [column.name for column in schema.columns if column.type is ColumnType.TIMESTAMP]
    if len(times) != 1:
        found = fields.listed(times) if times else "none"
        raise InvalidFieldError(
            f"{fields.SPLIT}.column",
            f"must name the column of times, of which there are {len(times)} ({found})",
            reason="UNKNOWN_COLUMN",
        )
    return times[0]


def _check_group(column: Column) -> None:
    if column.type in _VECTORS:
        raise InvalidFieldError(
            f"{fields.SPLIT}.column",
            f"column `{column.name}` holds {column.type} values, which are no groups",
            reason="BAD_COLUMN_TYPE",
        )


def _check_time(column: Column) -> None:
    if column.type not in _TIMES:
        raise InvalidFieldError(
            f"{fields.SPLIT}.column",
            f"column `{column.name}` holds {column.type} values; a temporal split needs times or "
            "numbers",
            reason="BAD_COLUMN_TYPE",
        )
    if column.missing_count:
        raise InvalidFieldError(
            f"{fields.SPLIT}.column",
            f"column `{column.name}` has no value in {column.missing_count} rows; remove those "
            "rows, or choose another column or split",
            reason="MISSING_TIME",
        )
