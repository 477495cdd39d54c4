"""How each column is to be stored."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from common.data.schema import MAX_CATEGORIES, Column, ColumnType
from common.data.storage import storage_field
from common.errors import InvalidFieldError
from services.catalog.domain import fields, parsing
from services.catalog.domain.labels import label_set
from services.catalog.domain.profile import ColumnProfile
from services.catalog.domain.sources.base import RawKind

Encoder = Callable[[pa.Array], pa.Array]

_READ = (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.TIMESTAMP)


@dataclass(frozen=True)
class ColumnPlan:
    """A column of the data set and how its values come about.

    Attributes:
        column: What the schema says of it.
        field: How it is stored.
        encode: Turns the file's values into stored ones.
        class_counts: Rows of each label, in the order of the codes; for categorical and boolean
            columns.
    """

    column: Column
    field: pa.Field
    encode: Encoder
    class_counts: tuple[int, ...] = ()

    @property
    def present_labels(self) -> list[str]:
        """The labels that have rows."""
        pairs = zip(self.column.labels, self.class_counts, strict=True)
        return [label for label, count in pairs if count]


def plan_column(
    profile: ColumnProfile, wanted: ColumnType, *, by_number: bool = False
) -> ColumnPlan:
    """Plans a column of a type.

    Args:
        profile: What is known of the column after all rows.
        wanted: Its type.
        by_number: Whether labels that are written as numbers are told apart by their value.

    Raises:
        InvalidFieldError: The values are not of that type.
    """
    if not _fits(profile, wanted):
        raise bad_type(profile, wanted)
    if wanted is ColumnType.IMAGE:
        column = Column(profile.raw.name, wanted, shape=profile.raw.shape)
        return ColumnPlan(column, storage_field(column), _as_it_is)
    if wanted is ColumnType.NUMERIC:
        return _plan_numeric(profile)
    if wanted is ColumnType.CATEGORICAL:
        return _plan_categorical(profile, by_number)
    column = Column(
        profile.raw.name, wanted, _missing(profile, wanted), distinct_count=profile.distinct_count
    )
    if wanted is ColumnType.BOOLEAN:
        return ColumnPlan(column, storage_field(column), _to_boolean, _truth_counts(profile))
    encode = _to_timestamp if wanted is ColumnType.TIMESTAMP else parsing.clean
    return ColumnPlan(column, storage_field(column), encode)


def bad_type(profile: ColumnProfile, wanted: ColumnType) -> InvalidFieldError:
    """Returns the error for a column whose values are not of the type that was asked for."""
    problem = f"does not hold {wanted} values{example(profile)}"
    if wanted is ColumnType.CATEGORICAL:
        problem = f"has more than {MAX_CATEGORIES} labels, too many to be categorical"
    return InvalidFieldError(
        fields.COLUMN_TYPES,
        f"column `{profile.raw.name}` {problem}; choose another type or leave it out",
        reason="BAD_COLUMN_TYPE",
    )


def example(profile: ColumnProfile) -> str:
    """Returns the first value of a column that is no number, for a sentence."""
    row, text = profile.not_number
    return f" (`{text[:40]}` in row {row})" if row else ""


def _plan_numeric(profile: ColumnProfile) -> ColumnPlan:
    numbers = profile.numbers
    assert numbers is not None
    column = Column(
        profile.raw.name,
        ColumnType.NUMERIC,
        profile.unread.count,
        distinct_count=numbers.distinct.estimate(),
        numeric=numbers.statistics,
    )
    field = storage_field(column, numbers.storage)

    def encode(values: pa.Array) -> pa.Array:
        return _to_numbers(values).cast(field.type)

    return ColumnPlan(column, field, encode)


def _plan_categorical(profile: ColumnProfile, by_number: bool) -> ColumnPlan:
    labels = label_set(profile, by_number=by_number)
    column = Column(
        profile.raw.name,
        ColumnType.CATEGORICAL,
        profile.missing.count,
        categories=labels.texts,
        distinct_count=len(labels.texts),
    )
    return ColumnPlan(column, storage_field(column), labels.encode, labels.counts)


def _fits(profile: ColumnProfile, wanted: ColumnType) -> bool:
    if profile.raw.kind is RawKind.IMAGE:
        return wanted is ColumnType.IMAGE
    numbers = profile.numbers
    zero_one = numbers is not None and numbers.whole and numbers.min >= 0 and numbers.max <= 1
    fits = {
        ColumnType.NUMERIC: numbers is not None,
        ColumnType.BOOLEAN: zero_one or (profile.is_boolean and numbers is None),
        ColumnType.TIMESTAMP: profile.is_timestamp,
        ColumnType.CATEGORICAL: profile.labels is not None,
        ColumnType.TEXT: profile.raw.kind in (RawKind.UNPARSED, RawKind.STRING),
    }
    return fits.get(wanted, False)


def _missing(profile: ColumnProfile, wanted: ColumnType) -> int:
    return (profile.unread if wanted in _READ else profile.missing).count


def _truth_counts(profile: ColumnProfile) -> tuple[int, int]:
    """Returns the rows of false and true."""
    counts = [0, 0]
    for label, count in (profile.labels or {}).items():
        truth = _to_boolean(pa.array([label]))[0].as_py()
        if truth is not None:
            counts[truth] += count
    return counts[0], counts[1]


def _as_it_is(values: pa.Array) -> pa.Array:
    return values


def _to_numbers(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        return parsing.parse_numbers(parsing.clean(values))
    return values


def _to_boolean(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        text = parsing.clean(values)
        booleans = parsing.parse_booleans(text)
        values = parsing.parse_numbers(text) if booleans is None else booleans
    return values.cast(pa.bool_())


def _to_timestamp(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        return parsing.parse_timestamps(parsing.clean(values))
    return values
