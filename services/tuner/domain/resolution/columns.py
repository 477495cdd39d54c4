"""Columns that are learned from, and those with a part of their own."""

import re
from collections.abc import Sequence

from common.data.schema import LABEL_TYPES, Column, ColumnType, NumericStatistics
from services.tuner.domain.resolution.data import (
    TuningData,
    is_constant,
    refused,
    value_count,
)
from services.tuner.domain.resolution.targets import targets_of
from services.tuner.domain.specification import TuningSpecification

_MOST_SAME = 0.05  # numbers of distinct values are estimates
_MOST_NAMED = 5
_LONGEST_CODE = 40
_NUMBER_NAME = re.compile(
    r"(?i:(^|[_\W])(id|index|key|row|nr|no|number)$|^unnamed)|[a-z]I[dD]$"  # rowId too
)
LEAST_SIDE = 8
"""Of pictures, in pixels."""

_VECTORS = (ColumnType.IMAGE, ColumnType.EMBEDDING)


def check_roles(
    specification: TuningSpecification, data: TuningData, targets: Sequence[Column]
) -> None:
    """Checks the columns of weights and groups, and those that are left out.

    Raises:
        InvalidFieldError: One does not exist, cannot be what it shall be, or is something else.
    """
    taken = {target.name: "a target" for target in targets}
    if specification.weight_column:
        _check_weights(data, specification.weight_column, taken)
        taken[specification.weight_column] = "the weight"
    if specification.group_column:
        _check_groups(data, specification.group_column, taken)
        taken[specification.group_column] = "the group"
    for place, name in enumerate(specification.left_out):
        field = f"left_out[{place}]"
        data.column(name, field)
        if name in taken:
            raise refused(
                field, f"`{name}` is {taken[name]}, which is no feature anyway; name others."
            )


def _check_weights(data: TuningData, name: str, taken: dict[str, str]) -> None:
    field = "weight_column"
    column = data.column(name, field)
    if name in taken:
        raise refused(field, f"`{name}` is {taken[name]}; choose another column.")
    if column.type is not ColumnType.NUMERIC or column.numeric is None:
        raise refused(
            field, f"`{name}` is {column.type}, and weights are numbers; choose another column."
        )
    if column.missing_count:
        raise refused(
            field, f"`{name}` has no value in {column.missing_count:,} rows; fill them in."
        )
    least, most = column.numeric.min, column.numeric.max
    if least < 0 or most == 0:
        raise refused(
            field,
            f"Weights are at least 0 and not all 0, but `{name}` runs from {least:g} to {most:g}; "
            "choose another column.",
        )


def _check_groups(data: TuningData, name: str, taken: dict[str, str]) -> None:
    field = "group_column"
    column = data.column(name, field)
    if name in taken:
        raise refused(field, f"`{name}` is {taken[name]}; choose another column.")
    if column.type in _VECTORS:
        raise refused(
            field,
            f"`{name}` is a column of type {column.type}, which groups nothing; choose another.",
        )
    if value_count(column) < 2:
        raise refused(
            field, f"`{name}` has one value, and folds need two groups; leave it out or regroup."
        )


def left_out_of(
    specification: TuningSpecification, data: TuningData, targets: Sequence[Column]
) -> tuple[str, ...]:
    """Returns the columns that are no features: those named, and other targets of the data.

    These are no more known than the ones to predict when the model is used.
    """
    chosen = {target.name for target in targets}
    others = [name for name in targets_of(data.schema) if name not in chosen]
    roles = (specification.weight_column, specification.group_column)
    return tuple(
        dict.fromkeys([*specification.left_out, *(each for each in others if each not in roles)])
    )


def features_of(
    specification: TuningSpecification, data: TuningData, targets: Sequence[Column]
) -> list[Column]:
    """Returns the columns that are features.

    Args:
        specification: With the columns that `left_out_of` gives.
        data: The data.
        targets: What is to be predicted.

    Raises:
        InvalidFieldError: There is none, or none tells anything of the target.
    """
    taken = {
        *(target.name for target in targets),
        specification.weight_column,
        specification.group_column,
        *specification.left_out,
    }
    columns = [column for column in data.schema.columns if column.name not in taken]
    field = "left_out" if specification.left_out else "dataset_version"
    if not columns:
        raise refused(field, "No column is left to learn from; leave fewer out.", "NO_FEATURES")
    _check_pictures(columns)
    _check_telling(columns, data.counts.total, field)
    return columns


def _check_pictures(columns: Sequence[Column]) -> None:
    small = [each for each in columns if each.type is ColumnType.IMAGE and not _is_seen(each)]
    if small:
        sides = " x ".join(map(str, small[0].shape[1:]))
        raise refused(
            "dataset_version",
            f"The pictures of `{small[0].name}` are {sides} pixels, and {LEAST_SIDE} a side are "
            "the least that is looked at; import larger ones, or name the column in `left_out`.",
            "PICTURES_TOO_SMALL",
        )


def _is_seen(column: Column) -> bool:
    return len(column.shape) == 3 and min(column.shape[1:]) >= LEAST_SIDE


def _check_telling(features: Sequence[Column], rows: int, field: str) -> None:
    telling = [column for column in features if not is_constant(column)]
    if not telling:
        raise refused(
            field,
            f"{_listed(features)}: no column has two values; there is nothing to learn from.",
            "NO_FEATURES",
        )
    if all(is_identifier(column, rows) for column in telling):
        raise refused(
            field,
            f"{_listed(telling)}: another value in each row, as identifiers have, says nothing of "
            "other rows; use data with other columns.",
            "NO_FEATURES",
        )


def is_identifier(column: Column, rows: int) -> bool:
    """Whether a column numbers or names its rows: each has another value, and that means nothing.

    Args:
        column: The column.
        rows: Rows of the data set.
    """
    present = rows - column.missing_count
    if value_count(column) < (1 - _MOST_SAME) * present:
        return False
    if column.type is ColumnType.NUMERIC:
        # Numbers in a row may be times or lengths too: only some names say otherwise.
        is_called_so = _NUMBER_NAME.search(column.name) is not None
        return is_called_so and column.numeric is not None and _counts(column.numeric, rows)
    if column.type is ColumnType.TEXT or column.type in LABEL_TYPES:
        return all(_is_code(top.value) for top in column.top_values)
    return False


def _is_code(value: str) -> bool:
    """Whether a text looks made by a machine, not written: texts of any language may be learned."""
    is_word = value.isascii() and len(value) <= _LONGEST_CODE and not any(map(str.isspace, value))
    return is_word and any(map(str.isdigit, value))


def _counts(told: NumericStatistics, rows: int) -> bool:
    """Whether numbers are the rows' own, one after another."""
    return told.min.is_integer() and told.max - told.min == rows - 1


def _listed(columns: Sequence[Column]) -> str:
    names = ", ".join(f"`{column.name}`" for column in columns[:_MOST_NAMED])
    left = len(columns) - _MOST_NAMED
    return f"{names} and {left} more" if left > 0 else names
