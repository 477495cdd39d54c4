"""How each column is to be stored."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from common.data.schema import (
    MAX_CATEGORIES,
    MAX_TOP_VALUES,
    Column,
    ColumnType,
    NumericStatistics,
    TimeRange,
    ValueCount,
)
from common.data.storage import storage_field
from common.errors import InvalidFieldError
from services.catalog.domain import fields, parsing
from services.catalog.domain.labels import label_set
from services.catalog.domain.moments import Moments
from services.catalog.domain.profile import ColumnProfile
from services.catalog.domain.sample import (
    Distribution,
    distinct_values,
    distribution,
    frequent,
    top_value,
)
from services.catalog.domain.sources.base import RawKind

Encoder = Callable[[pa.Array], pa.Array]

VECTORS = {RawKind.IMAGE: ColumnType.IMAGE, RawKind.EMBEDDING: ColumnType.EMBEDDING}
"""Columns whose type follows from their kind."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    profile: ColumnProfile,
    wanted: ColumnType,
    *,
    by_number: bool = False,
    known: Sequence[str] = (),
) -> ColumnPlan:
    """Plans a column of a type.

    Args:
        profile: What is known of the column after all rows.
        wanted: Its type.
        by_number: Whether labels that are written as numbers are told apart by their value.
        known: Labels of the rows before, if any. See `label_set`.

    Raises:
        InvalidFieldError: The values are not of that type.
    """
    if not fits(profile, wanted):
        raise bad_type(profile, wanted)
    if wanted is ColumnType.IMAGE:
        column = Column(profile.raw.name, wanted, shape=profile.raw.shape)
        return ColumnPlan(column, storage_field(column), _as_it_is)
    plans = {
        ColumnType.EMBEDDING: _plan_embedding,
        ColumnType.NUMERIC: _plan_numeric,
        ColumnType.BOOLEAN: _plan_boolean,
        ColumnType.TIMESTAMP: _plan_timestamp,
        ColumnType.TEXT: _plan_text,
    }
    plan = plans.get(wanted)
    return plan(profile) if plan else _plan_categorical(profile, by_number, known)


def bad_type(profile: ColumnProfile, wanted: ColumnType) -> InvalidFieldError:
    """Returns the error for a column whose values are not of the type that was asked for."""
    return InvalidFieldError(
        fields.COLUMN_TYPES,
        f"{misfit(profile, wanted)}; choose another type or leave it out",
        reason="BAD_COLUMN_TYPE",
    )


def misfit(profile: ColumnProfile, wanted: ColumnType) -> str:
    """Returns why a column is not of a type, as the beginning of a sentence."""
    problem = f"does not hold {wanted} values{example(profile, wanted)}"
    if wanted is ColumnType.CATEGORICAL:
        problem = f"has more than {MAX_CATEGORIES} labels, too many to be categorical"
    return f"column `{profile.raw.name}` {problem}"


def example(profile: ColumnProfile, wanted: ColumnType = ColumnType.NUMERIC) -> str:
    """Returns the first value of a column that is not of a type, for a sentence."""
    row, text = profile.not_time if wanted is ColumnType.TIMESTAMP else profile.not_number
    return f" (`{text[:40]}` in row {row})" if row else ""


def distinct_numbers(profile: ColumnProfile) -> int:
    """Returns the number of distinct numbers: exact up to 1,000 labels or a whole sample."""
    if profile.labels is not None and profile.raw.kind is RawKind.NUMBER:
        return len(profile.labels)
    return _distribution(profile).distinct


def _distribution(profile: ColumnProfile) -> Distribution:
    numbers = profile.numbers
    if numbers is None or profile.sample is None or not numbers.count:
        return Distribution()
    sample = _to_numbers(profile.sample)
    return distribution(sample, numbers.min, numbers.max, profile.scale)


def _plan_numeric(profile: ColumnProfile) -> ColumnPlan:
    numbers = profile.numbers
    assert numbers is not None
    shape = _distribution(profile)
    column = Column(
        profile.raw.name,
        ColumnType.NUMERIC,
        profile.unread.count,
        distinct_count=shape.distinct,
        numeric=numbers.statistics(shape),
    )
    field = storage_field(column, numbers.storage)

    return ColumnPlan(column, field, lambda values: _stored(_to_numbers(values), field.type))


def _plan_embedding(profile: ColumnProfile) -> ColumnPlan:
    numbers = profile.numbers
    assert numbers is not None
    column = Column(
        profile.raw.name,
        ColumnType.EMBEDDING,
        profile.missing.count,
        shape=profile.raw.shape,
        numeric=numbers.statistics(),
    )
    field = storage_field(column, pa.float32() if numbers.single else pa.float64())
    return ColumnPlan(column, field, lambda values: _stored(values, field.type))


def _plan_boolean(profile: ColumnProfile) -> ColumnPlan:
    counts = _truth_counts(profile)
    column = Column(
        profile.raw.name,
        ColumnType.BOOLEAN,
        profile.unread.count,
        distinct_count=sum(count > 0 for count in counts),
        top_values=_tops(zip(("false", "true"), counts, strict=True)),
    )
    return ColumnPlan(column, storage_field(column), _to_boolean, counts)


def _plan_timestamp(profile: ColumnProfile) -> ColumnPlan:
    assert profile.sample is not None
    column = Column(
        profile.raw.name,
        ColumnType.TIMESTAMP,
        profile.unread.count,
        distinct_count=distinct_values(_to_timestamp(profile.sample), profile.scale),
        time_range=_time_range(profile.times),
    )
    return ColumnPlan(column, storage_field(column), _to_timestamp)


def _plan_text(profile: ColumnProfile) -> ColumnPlan:
    assert profile.sample is not None
    sample = parsing.clean(profile.sample)
    tops, distinct = frequent(sample, profile.scale)
    if profile.labels is not None:
        tops, distinct = _tops(profile.labels.items()), len(profile.labels)
    column = Column(
        profile.raw.name,
        ColumnType.TEXT,
        profile.missing.count,
        distinct_count=distinct,
        top_values=tops,
        text_length=_lengths(sample, profile.scale),
    )
    return ColumnPlan(
        column,
        storage_field(column),
        lambda values: parsing.each_text(values, parsing.clean).cast(pa.string()),
    )


def _plan_categorical(profile: ColumnProfile, by_number: bool, known: Sequence[str]) -> ColumnPlan:
    labels = label_set(profile, by_number=by_number, known=known)
    column = Column(
        profile.raw.name,
        ColumnType.CATEGORICAL,
        profile.missing.count,
        categories=labels.texts,
        distinct_count=len(labels.texts),
        top_values=_tops(zip(labels.texts, labels.counts, strict=True)),
    )
    return ColumnPlan(column, storage_field(column), labels.encode, labels.counts)


def _tops(counts: Iterable[tuple[object, int]]) -> tuple[ValueCount, ...]:
    present = [(value, count) for value, count in counts if count]
    present.sort(key=lambda pair: -pair[1])
    return tuple(top_value(str(value), count) for value, count in present[:MAX_TOP_VALUES])


def _lengths(texts: pa.Array, scale: float) -> NumericStatistics | None:
    lengths = pc.utf8_length(pc.drop_null(texts))
    moments = Moments()
    moments.update(lengths.cast(pa.float64()).to_numpy())
    if not moments.count:
        return None
    return moments.statistics(distribution(lengths, moments.min, moments.max, scale))


def _time_range(times: tuple[int, int] | None) -> TimeRange | None:
    """Returns the span of a column; None where it is empty or beyond what messages hold."""
    if times is None:
        return None
    try:
        low, high = (_EPOCH + timedelta(microseconds=time) for time in times)
    except OverflowError:
        return None
    return TimeRange(low, high)


def fits(profile: ColumnProfile, wanted: ColumnType) -> bool:
    """Returns whether all values of a column are of a type."""
    if profile.raw.kind in VECTORS:
        return wanted is VECTORS[profile.raw.kind]
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


def _stored(values: pa.Array, kind: pa.DataType) -> pa.Array:
    # Whole numbers beyond 2^53 are rounded: pyarrow would refuse them.
    return values.cast(kind, safe=pa.types.is_integer(kind))


def _to_numbers(values: pa.Array) -> pa.Array:
    if parsing.is_text(values.type):
        return parsing.each_text(values, lambda text: parsing.parse_numbers(parsing.clean(text)))
    return values


def _to_boolean(values: pa.Array) -> pa.Array:
    if parsing.is_text(values.type):
        return parsing.each_text(values, _parse_truth)
    return values.cast(pa.bool_())


def _parse_truth(text: pa.Array) -> pa.Array:
    cleaned = parsing.clean(text)
    booleans = parsing.parse_booleans(cleaned)
    if booleans is not None:
        return booleans
    numbers = parsing.parse_numbers(cleaned)
    assert numbers is not None
    return numbers.cast(pa.bool_())


def _to_timestamp(values: pa.Array) -> pa.Array:
    if parsing.is_text(values.type):
        return parsing.read_timestamps(values)
    return values
