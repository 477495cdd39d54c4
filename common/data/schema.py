"""What a data set looks like: columns, target, task, parts of the split.

Light on purpose: it needs neither numpy nor pyarrow.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from functools import cached_property

from common.errors import InvalidFieldError

MAX_CATEGORIES = 1000
MAX_TOP_VALUES = 20
HISTOGRAM_BINS = 20
BOOLEAN_LABELS = ("false", "true")
_MOST_NAMED = 20


class ColumnType(StrEnum):
    """Type of a column, named as in `aimass.catalog.v1.ColumnType`."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    TEXT = "text"
    TIMESTAMP = "timestamp"
    IMAGE = "image"
    EMBEDDING = "embedding"


LABEL_TYPES = frozenset({ColumnType.CATEGORICAL, ColumnType.BOOLEAN})
"""Types whose values are codes of labels."""


class Task(StrEnum):
    """What is to be learned, named as in `aimass.catalog.v1.Task`."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    UNSUPERVISED = "unsupervised"
    MULTI_LABEL = "multi_label"
    FORECASTING = "forecasting"


class Part(IntEnum):
    """Part of the split a row belongs to; the values are what the split files hold."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


@dataclass(frozen=True)
class NumericStatistics:
    """Statistics over the values of a numeric column that are not missing.

    Attributes:
        min: Smallest value.
        max: Largest value.
        mean: Arithmetic mean.
        stddev: Population standard deviation.
        histogram: Counts of `HISTOGRAM_BINS` equal widths from min to max; of large data a
            sample's, scaled up.
        percentiles: The 0th, 5th, ..., 100th percentile; of large data a sample's.
    """

    min: float
    max: float
    mean: float
    stddev: float
    histogram: tuple[int, ...] = ()
    percentiles: tuple[float, ...] = ()


@dataclass(frozen=True)
class ValueCount:
    """How many rows have a value."""

    value: str
    count: int


@dataclass(frozen=True)
class TimeRange:
    """Earliest and latest value of a timestamp column, with time zone UTC."""

    min: datetime
    max: datetime


@dataclass(frozen=True)
class TimeSeries:
    """Which columns make the data time series in long format.

    Attributes:
        time_column: Timestamp column.
        series_column: Says which series a row belongs to; empty where there is only one.
        covariates: Columns that are known ahead or measured alongside.
        frequency: Usual step between the rows of a series as pandas writes it; empty where the
            steps vary.
        series_count: Number of series.
    """

    time_column: str
    series_column: str = ""
    covariates: tuple[str, ...] = ()
    frequency: str = ""
    series_count: int = 0


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Unique within the data set.
        type: How its values are to be read.
        missing_count: Rows without a value.
        shape: Shape of one value: (channels, height, width) of an image, (length,) of an embedding,
            else empty.
        categories: Labels of a categorical column in sorted order.
        distinct_count: Distinct values; an estimate where there are more than 1,000.
        numeric: Statistics of a numeric column; None where it has no value at all.
        top_values: Most frequent values of a categorical, boolean or text column, most frequent
            first.
        text_length: Lengths of a text column's values in characters.
        time_range: Span of a timestamp column.
    """

    name: str
    type: ColumnType
    missing_count: int = 0
    shape: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    distinct_count: int = 0
    numeric: NumericStatistics | None = None
    top_values: tuple[ValueCount, ...] = ()
    text_length: NumericStatistics | None = None
    time_range: TimeRange | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """What the codes of a categorical or boolean column stand for."""
        return BOOLEAN_LABELS if self.type is ColumnType.BOOLEAN else self.categories


@dataclass(frozen=True)
class Schema:
    """Columns, target and task of a data set.

    Attributes:
        columns: In order.
        task: What can be learned.
        target: Name of the (first) target column; empty where there is none.
        task_reason: Why that task was chosen, one sentence.
        targets: Names of all target columns.
        time_series: Which columns make time series; None where the data is none.
    """

    columns: tuple[Column, ...]
    task: Task = Task.UNSUPERVISED
    target: str = ""
    task_reason: str = ""
    targets: tuple[str, ...] = ()
    time_series: TimeSeries | None = None

    def column(self, name: str) -> Column:
        """Returns a column by name. Raises `KeyError`."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}


def require_column(schema: Schema, name: str, field: str) -> Column:
    """Returns a column that a caller named.

    Args:
        schema: Of the data set.
        name: What the caller named.
        field: Path of the field it came from, for the error.

    Raises:
        InvalidFieldError: There is none; names those that there are.
    """
    try:
        return schema.column(name)
    except KeyError:
        known = ", ".join(column.name for column in schema.columns[:_MOST_NAMED])
        left = len(schema.columns) - _MOST_NAMED
        more = f" and {left} more" if left > 0 else ""
        raise InvalidFieldError(
            field,
            f"The data set has no column `{name}`; it has {known}{more}.",
            reason="UNKNOWN_COLUMN",
        ) from None


@dataclass(frozen=True)
class SplitCounts:
    """Rows of each part."""

    train: int = 0
    validation: int = 0
    test: int = 0

    @property
    def total(self) -> int:
        """Rows of all parts."""
        return self.train + self.validation + self.test


@dataclass(frozen=True)
class KnownDataset:
    """What is known of a data set version before it is read.

    Attributes:
        name: Resource name with the version's number.
        schema: Its columns, target and task.
        counts: Rows of each part of the split.
    """

    name: str
    schema: "Schema"
    counts: SplitCounts
