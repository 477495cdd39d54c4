"""What is to be predicted, and what kind of problem that makes."""

import math
from collections.abc import Sequence

from common.data.schema import LABEL_TYPES, Column, ColumnType, Schema, Task
from common.scoring.kinds import ProblemKind
from services.tuner.domain.resolution.data import (
    LEAST_ROWS,
    TuningData,
    has_classes,
    refused,
    value_count,
)
from services.tuner.domain.specification import TuningSpecification

MOST_CLASSES = 1_000
_TARGET_TYPES = LABEL_TYPES | {ColumnType.NUMERIC}
_TWO_VALUES = 2
_MARKS = (0.0, 1.0)


def resolved_targets(specification: TuningSpecification, data: TuningData) -> tuple[Column, ...]:
    """Returns the columns to predict.

    Raises:
        InvalidFieldError: There is none, or one does not exist, has hardly any values, or one value
            only.
    """
    names = specification.targets or targets_of(data.schema)
    if not names:
        raise refused("targets", f"{data.name} names no target; give the column to predict.")
    is_given = bool(specification.targets)
    fields = [f"targets[{place}]" if is_given else "targets" for place in range(len(names))]
    columns: dict[str, Column] = {}
    for name, field in zip(names, fields, strict=True):
        if name in columns:
            raise refused(field, f"`{name}` is named twice; name each target once.")
        columns[name] = _target(data, name, field)
    if all(value_count(column) < _TWO_VALUES for column in columns.values()):
        raise refused(
            fields[0],
            f"`{names[0]}` has one value only; there is nothing to learn.",
            "CONSTANT_TARGET",
        )
    return tuple(columns.values())


def targets_of(schema: Schema) -> tuple[str, ...]:
    """Returns the names of the targets that a data set itself names."""
    return schema.targets or tuple(filter(None, (schema.target,)))


def _target(data: TuningData, name: str, field: str) -> Column:
    column = data.column(name, field)
    if column.type not in _TARGET_TYPES:
        raise refused(field, f"`{name}` is a column of type {column.type}; choose another.")
    present = data.counts.total - column.missing_count
    if present < LEAST_ROWS:
        raise refused(
            field,
            f"`{name}` has a value in {present:,} rows, and a search needs {LEAST_ROWS} at least; "
            "choose another target or data.",
            "MISSING_TARGET",
        )
    told = column.numeric
    if told is not None and not (math.isfinite(told.min) and math.isfinite(told.max)):
        raise refused(field, f"`{name}` holds infinite values; replace them.", "INFINITE_VALUE")
    return column


def resolved_kind(
    specification: TuningSpecification, data: TuningData, targets: Sequence[Column]
) -> ProblemKind:
    """Returns the kind of problem.

    Args:
        specification: What the caller asked for.
        data: The data.
        targets: What is to be predicted.

    Raises:
        InvalidFieldError: The targets do not fit the kind, or there is no such kind yet.
    """
    kind = specification.kind or _default_kind(data.schema, targets)
    if kind is ProblemKind.MULTI_LABEL:
        _check_marks(targets)
        return kind
    if len(targets) > 1:
        raise refused(
            "targets" if specification.targets else "kind",
            f"There are {len(targets)} targets, which only MULTI_LABEL predicts together; name one "
            "in `targets`, or leave `kind` out.",
        )
    if kind is ProblemKind.REGRESSION:
        return _checked_regression(targets[0])
    return _checked_classes(kind, targets[0])


def _default_kind(schema: Schema, targets: Sequence[Column]) -> ProblemKind:
    if len(targets) > 1:
        return ProblemKind.MULTI_LABEL
    [target] = targets
    is_own = target.name == schema.target and len(targets_of(schema)) == 1
    if is_own and schema.task is Task.REGRESSION:
        return ProblemKind.REGRESSION
    if is_own and schema.task is Task.CLASSIFICATION:
        return ProblemKind.MULTICLASS
    return ProblemKind.MULTICLASS if has_classes(target) else ProblemKind.REGRESSION


def _check_marks(targets: Sequence[Column]) -> None:
    for target in targets:
        told = target.numeric
        is_marked = told is not None and (told.min, told.max) == _MARKS
        if target.type is not ColumnType.BOOLEAN and not (
            is_marked and value_count(target) == _TWO_VALUES
        ):
            raise refused(
                "targets",
                f"`{target.name}` holds other values than true and false, or 0 and 1; leave it out,"
                " or write a column for each label.",
            )


def _checked_regression(target: Column) -> ProblemKind:
    if target.type is not ColumnType.NUMERIC:
        raise refused(
            "kind",
            f"REGRESSION needs a numeric target, and `{target.name}` is {target.type}; choose "
            "another kind or target.",
        )
    return ProblemKind.REGRESSION


def _checked_classes(kind: ProblemKind, target: Column) -> ProblemKind:
    count = value_count(target)
    if count == _TWO_VALUES:
        return ProblemKind.BINARY
    if kind is ProblemKind.BINARY:
        raise refused(
            "kind", f"`{target.name}` has {count:,} classes, not two; set MULTICLASS, or no kind."
        )
    if count > MOST_CLASSES:
        raise refused(
            "kind",
            f"`{target.name}` has about {count:,} distinct values, and {MOST_CLASSES:,} classes are"
            " the most; set REGRESSION or choose another target.",
        )
    return kind
