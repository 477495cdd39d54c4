"""Problems from data frames and from rows of the catalog."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType, Schema, Task
from common.errors import InvalidFieldError
from common.models.estimators.frame_values import text_of
from common.models.estimators.packing import in_natural_order
from services.tuner.domain.problem import Positions, Problem, ProblemKind, Truth
from services.tuner.domain.reading_columns import (
    ReadColumn,
    Values,
    number_column,
    picture_column,
    read_column,
    repeats,
    text_column,
)

_FEW_CLASSES = 20
_TWO_CLASSES = 2
_MICROSECONDS = 1e6
_TARGET = "target"


def problem_from_frame(
    frame: pd.DataFrame,
    target: str | Sequence[str],
    kind: ProblemKind | None = None,
    types: Mapping[str, ColumnType] | None = None,
    weights: str = "",
    groups: str = "",
) -> Problem:
    """Returns the problem of a data frame, its columns' types guessed as by an import.

    Args:
        frame: A row each.
        target: Name of the target, or names of many labels.
        kind: What it is; None to ask the target.
        types: Types of columns that are known; of the target too.
        weights: Name of a column of weights, which is no feature; empty for none.
        groups: Name of a column whose rows with equal values stay together, which is no feature;
            empty for none.

    Raises:
        InvalidFieldError: The target is missing, constant, or not of the kind.
        ValueError: A column's values are not of the type that was told.
    """
    targets = [target] if isinstance(target, str) else list(target)
    _require([*targets, *filter(None, (weights, groups))], frame.columns)
    taken = {*targets, weights, groups}
    known = dict(types or {})
    columns = [
        read_column(str(name), frame[name], known.get(str(name)))
        for name in frame.columns
        if name not in taken
    ]
    read = [read_column(name, frame[name], known.get(name)) for name in targets]
    return _problem(
        columns,
        read,
        kind,
        frame[weights].to_numpy(np.float64) if weights else None,
        pd.factorize(frame[groups])[0].astype(np.int64) if groups else None,
    )


def problem_from_rows(
    raw: RawRows,
    schema: Schema,
    kind: ProblemKind | None = None,
    weights: str = "",
    groups: str = "",
    left_out: Sequence[str] = (),
) -> Problem:
    """Returns the problem of rows of the catalog.

    Args:
        raw: The rows; of vectors each number is a column, `name.0` and on.
        schema: Of the data set, with its target or targets.
        kind: What it is; None for the schema's task.
        weights: See `problem_from_frame`.
        groups: See `problem_from_frame`.
        left_out: Names of other columns that are no features.

    Raises:
        InvalidFieldError: There is no target, or it is missing, constant, or not of the kind.
    """
    targets = list(schema.targets) or [name for name in (schema.target,) if name]
    _require([*targets, *filter(None, (weights, groups))], [each.name for each in schema.columns])
    taken = {*targets, weights, groups, *left_out}
    columns: list[ReadColumn] = []
    for column in schema.columns:
        if column.name not in taken:
            columns += _catalog_columns(column, raw)
    read = [_catalog_columns(schema.column(name), raw)[0] for name in targets]
    return _problem(
        columns,
        read,
        kind or _kind_of(schema.task, read),
        raw.columns[weights].astype(np.float64) if weights else None,
        pd.factorize(raw.columns[groups])[0].astype(np.int64) if groups else None,
    )


def more_rows(problem: Problem, raw: RawRows, schema: Schema, weights: str = "") -> Problem:
    """Returns further rows of a problem, for instance to test on.

    Args:
        problem: What `problem_from_rows` made of the rows that are learned from.
        raw: The further rows; those of classes that the problem has not are left out.
        schema: As it was given there.
        weights: As it was given there.

    Raises:
        InvalidFieldError: The target has other values than the problem's kind allows.
    """
    known = set(problem.features.columns)
    targets = list(schema.targets) or [schema.target]
    read = [
        each
        for column in schema.columns
        if column.name in raw.columns and column.name not in targets
        for each in _catalog_columns(column, raw)
        if each.column.name in known
    ]
    series = {each.column.name: pd.Series(each.values, dtype=each.values.dtype) for each in read}
    truth = _further_truth(
        problem, [_catalog_columns(schema.column(each), raw)[0] for each in targets]
    )
    rows = Problem(
        problem.kind,
        problem.columns,
        pd.DataFrame(series, index=pd.RangeIndex(len(truth)))[list(problem.features.columns)],
        truth,
        problem.outputs,
        raw.columns[weights].astype(np.float64) if weights else None,
    )
    return (
        rows.take(np.flatnonzero(truth.astype(np.int64) >= 0)) if problem.kind.has_classes else rows
    )


def rows_of_known_classes(problem: Problem, raw: RawRows, schema: Schema) -> Positions:
    """Returns which further rows `more_rows` keeps: those of classes that the problem has."""
    if not problem.kind.has_classes:
        return np.arange(raw.count)
    column = schema.column(schema.targets[0] if schema.targets else schema.target)
    truth = _further_truth(problem, [_catalog_columns(column, raw)[0]])
    return np.flatnonzero(truth.astype(np.int64) >= 0)


def _further_truth(problem: Problem, targets: Sequence[ReadColumn]) -> Truth:
    """Returns what is true of further rows; -1 for a class that the problem has not."""
    if not problem.kind.has_classes:
        return _truth(problem.kind, targets)[0]
    [target] = targets
    places = {label: place for place, label in enumerate(problem.outputs)}
    labels = _labels(target.values, target.column.type)
    return np.array([places.get(label, -1) for label in labels], np.int64)


def _catalog_columns(column: Column, raw: RawRows) -> list[ReadColumn]:
    """Returns a column of the catalog, or the columns of its vectors."""
    name, values = column.name, raw.columns[column.name]
    if column.type is ColumnType.IMAGE:
        return [picture_column(name, np.asarray(values, np.uint8))]
    if column.type is ColumnType.EMBEDDING:
        return [number_column(f"{name}.{place}", each) for place, each in enumerate(values.T)]
    if column.type is ColumnType.CATEGORICAL:
        labels = np.array([*raw.labels.get(name, column.labels), None], object)
        # Code -1, which stands for missing, finds the last entry.
        return [text_column(name, labels[values.astype(np.intp)].tolist(), column.type)]
    if column.type is ColumnType.TEXT:
        texts = [text_of(value) for value in values.tolist()]
        # The catalog has no categories of more than 1,000 levels.
        kind = ColumnType.CATEGORICAL if repeats(texts) else ColumnType.TEXT
        return [text_column(name, texts, kind)]
    numbers = values.astype(np.float64)
    if column.type is ColumnType.BOOLEAN:
        numbers[values.astype(np.int64) < 0] = np.nan
    if column.type is ColumnType.TIMESTAMP:
        is_missing = values == np.iinfo(np.int64).min
        numbers = np.where(is_missing, np.nan, numbers / _MICROSECONDS)
    return [number_column(name, numbers, column.type)]


def _problem(
    columns: Sequence[ReadColumn],
    targets: Sequence[ReadColumn],
    kind: ProblemKind | None,
    weights: npt.NDArray[np.float64] | None,
    groups: Positions | None,
) -> Problem:
    for each in targets:
        if each.column.missing_count:
            missing = int(np.argmax(pd.isna(each.values)))
            raise _bad(f"column `{each.column.name}` has no value in row {missing + 1}")
    kind = kind or _guessed_kind(targets)
    truth, outputs = _truth(kind, targets)
    if kind is ProblemKind.MULTICLASS and len(outputs) == _TWO_CLASSES:
        kind = ProblemKind.BINARY
    # Series of objects stay so; of plain arrays pandas would make texts of its own type.
    series = {each.column.name: pd.Series(each.values, dtype=each.values.dtype) for each in columns}
    return Problem(
        kind,
        tuple(each.column for each in columns),
        pd.DataFrame(series, index=pd.RangeIndex(len(truth))),
        truth,
        outputs,
        weights,
        groups,
    )


def _kind_of(task: Task, targets: Sequence[ReadColumn]) -> ProblemKind:
    kinds = {
        Task.CLASSIFICATION: ProblemKind.MULTICLASS,
        Task.REGRESSION: ProblemKind.REGRESSION,
        Task.MULTI_LABEL: ProblemKind.MULTI_LABEL,
    }
    return kinds.get(task) or _guessed_kind(targets)


def _guessed_kind(targets: Sequence[ReadColumn]) -> ProblemKind:
    """Returns what the targets are, as an import into the catalog decides."""
    if len(targets) > 1:
        return ProblemKind.MULTI_LABEL
    [target] = targets
    if target.column.type is not ColumnType.NUMERIC:
        return ProblemKind.MULTICLASS
    is_whole = bool((target.values == np.floor(target.values)).all())
    is_few = target.column.distinct_count <= _FEW_CLASSES
    return ProblemKind.MULTICLASS if is_whole and is_few else ProblemKind.REGRESSION


def _truth(kind: ProblemKind, targets: Sequence[ReadColumn]) -> tuple[Truth, tuple[str, ...]]:
    names = tuple(each.column.name for each in targets)
    if kind is ProblemKind.MULTI_LABEL:
        return _marks(targets), names
    [target] = targets
    if kind.has_classes:
        return _classes(kind, target)
    if target.values.dtype.kind != "f" or not np.isfinite(target.values).all():
        raise _bad(f"column `{names[0]}` holds other values than finite numbers")
    return target.values, names


def _marks(targets: Sequence[ReadColumn]) -> Truth:
    for each in targets:
        is_number = each.values.dtype.kind == "f"
        if not is_number or not np.isin(each.values, (0, 1)).all():
            raise _bad(f"column `{each.column.name}` holds other values than true and false")
    return np.column_stack([each.values for each in targets]).astype(np.int8)


def _classes(kind: ProblemKind, target: ReadColumn) -> tuple[Truth, tuple[str, ...]]:
    labels = _labels(target.values, target.column.type)
    classes = in_natural_order(list(set(labels)))
    if len(classes) < _TWO_CLASSES:
        raise _bad(f"column `{target.column.name}` has a single class; two are needed at least")
    if kind is ProblemKind.BINARY and len(classes) > _TWO_CLASSES:
        raise _bad(f"column `{target.column.name}` has {len(classes)} classes, not two")
    places = {label: place for place, label in enumerate(classes)}
    return np.array([places[label] for label in labels], np.int64), tuple(classes)


def _labels(values: Values, kind: ColumnType) -> list[str]:
    if kind is ColumnType.BOOLEAN:
        values = values.astype(bool)
    return [str(text_of(value)) for value in values.tolist()]


def _require(names: Sequence[str], known: Sequence[str]) -> None:
    if not names:
        raise _bad("there is none")
    for name in names:
        if name not in known:
            raise _bad(f"there is no column `{name}`")


def _bad(description: str) -> InvalidFieldError:
    return InvalidFieldError(_TARGET, description, reason="BAD_TARGET")
