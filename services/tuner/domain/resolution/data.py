"""What is known of a data set version before a search, and how fields of a search are refused."""

from dataclasses import dataclass

from common.data.schema import LABEL_TYPES, Column, ColumnType, Schema, SplitCounts, require_column
from common.errors import InvalidFieldError
from services.tuner.domain.specification import FIELD

LEAST_ROWS = 10
_FEW_CLASSES = 20


@dataclass(frozen=True)
class TuningData:
    """What is known of a data set version.

    Attributes:
        name: Resource name with the version's number.
        schema: Its columns, target and task.
        counts: Rows of each part of the split.
        temporal_column: What the parts are split by, where the newest rows are the test part.
    """

    name: str
    schema: Schema
    counts: SplitCounts
    temporal_column: str = ""

    @property
    def row_count(self) -> int:
        """Rows that are learned from; those of the test part are not."""
        return self.counts.train + self.counts.validation

    def column(self, name: str, field: str) -> Column:
        """Returns a column that a field of the specification names.

        Raises:
            InvalidFieldError: There is none; names those that there are.
        """
        return require_column(self.schema, name, f"{FIELD}.{field}")


def refused(field: str, description: str, reason: str = "") -> InvalidFieldError:
    """Returns the error for a field of the specification."""
    return InvalidFieldError(f"{FIELD}.{field}", description, reason=reason)


def value_count(column: Column) -> int:
    """Returns the distinct values of a column; of many an estimate."""
    return column.distinct_count or len(column.labels)


def is_constant(column: Column) -> bool:
    """Whether a column has the same value, or none, in all rows."""
    if column.type in (ColumnType.IMAGE, ColumnType.EMBEDDING):
        return False
    return value_count(column) < (1 if column.missing_count else 2)


def has_classes(column: Column) -> bool:
    """Whether a target is rather one of a few classes than a number, as imports decide."""
    if column.type in LABEL_TYPES:
        return True
    told = column.numeric
    if told is None or column.distinct_count > _FEW_CLASSES:
        return False
    if not (told.min.is_integer() and told.max.is_integer()):
        return False
    # Where two values meet, a percentile lies between them.
    whole = [value.is_integer() for value in told.percentiles]
    return 2 * sum(whole) >= len(whole)
