"""What a search will need, from its specification alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.data.schema import Column, ColumnType
from services.tuner.domain.fold_counts import TEXT_COLUMNS, usual_fold_count
from services.tuner.domain.specification import TuningSpecification

# Measured: the run's process and the one that trials are forked from, with all libraries.
_PROCESS_BYTES = 2 * 280 * 2**20
_COPIES = 3  # as read, as a frame, and as the trials see it
_NUMBER_BYTES = 8
_TOLD_NUMBERS = 288  # of a picture
_TEXT_BYTES = 57  # of an empty text, with what points at it
USUAL_TRIAL_BYTES = 2 << 30
_TRIAL_COPIES = 3


@dataclass(frozen=True)
class Estimate:
    """What a search is expected to need.

    Attributes:
        seconds: From its first step to the last.
        memory_bytes: Of all its processes, at most.
        fold_count: Folds that each candidate is judged on; 1 is a holdout.
    """

    seconds: float
    memory_bytes: int
    fold_count: int


def estimate(specification: TuningSpecification, features: Sequence[Column], rows: int) -> Estimate:
    """Returns what a resolved specification will need.

    Args:
        specification: Resolved.
        features: Its columns.
        rows: Rows that are learned from.
    """
    trial_bytes = specification.trial_memory_bytes or usual_trial_bytes(features, rows)
    memory = _PROCESS_BYTES + _COPIES * table_bytes(features, rows)
    return Estimate(
        specification.budget,
        memory + specification.concurrency * trial_bytes,
        usual_fold_count(rows, sum(map(_work, features)), specification.budget),
    )


def usual_trial_bytes(features: Sequence[Column], rows: int) -> int:
    """Returns what each trial may hold beyond the data where callers do not say."""
    return max(USUAL_TRIAL_BYTES, _TRIAL_COPIES * table_bytes(features, rows))


def table_bytes(features: Sequence[Column], rows: int) -> int:
    """Returns the size of a table in memory."""
    return rows * sum(map(_value_bytes, features))


def _value_bytes(column: Column) -> int:
    if column.type is ColumnType.IMAGE:
        return math.prod(column.shape) + _NUMBER_BYTES * _TOLD_NUMBERS
    size = _NUMBER_BYTES * _width(column)
    if column.type is not ColumnType.TEXT:
        return size
    return size + _TEXT_BYTES + round(column.text_length.mean if column.text_length else 0)


def _work(column: Column) -> int:
    """Returns what a column takes to be learned from, in columns of numbers."""
    return _width(column) + (TEXT_COLUMNS if column.type is ColumnType.TEXT else 0)


def _width(column: Column) -> int:
    if column.type is ColumnType.IMAGE:
        return _TOLD_NUMBERS
    return column.shape[0] if column.type is ColumnType.EMBEDDING and column.shape else 1
