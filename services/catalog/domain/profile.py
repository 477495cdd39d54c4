"""The first pass over the data: what the values of each column are."""

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.data.schema import MAX_CATEGORIES, NumericStatistics
from services.catalog.domain import parsing
from services.catalog.domain.sketch import DistinctSketch, hash_numbers, hash_texts
from services.catalog.domain.sources.base import RawColumn, RawKind

# Text as it is written, or a number, truth value or time.
Label = str | float | bool | datetime

_EXACT_WHOLE = 2.0**53
_LARGE = 1e100
_INTEGERS = (pa.uint8(), pa.int8(), pa.int16(), pa.int32(), pa.int64())


class NumberProfile:
    """Statistics of numbers, by the batchwise update of Chan et al. (1979)."""

    def __init__(self) -> None:
        """Begins with no numbers."""
        self.count = 0
        self.min = np.inf
        self.max = -np.inf
        self.whole = True
        self.single = True
        self.distinct = DistinctSketch()
        self._mean: np.floating = np.float64(0)
        self._squares: np.floating = np.float64(0)

    def update(self, values: npt.NDArray[np.float64]) -> None:
        """Adds finite numbers, shape (rows,)."""
        if not len(values):
            return
        self.min = min(self.min, float(values.min()))
        self.max = max(self.max, float(values.max()))
        self._update_moments(values)
        self.distinct.add(hash_numbers(values))
        if self.whole:
            self.whole = bool(np.all(values == np.trunc(values)))
        if self.single:
            with np.errstate(over="ignore"):
                self.single = bool(np.all(values.astype(np.float32) == values))

    @property
    def statistics(self) -> NumericStatistics | None:
        """The statistics; None where there is no number."""
        if not self.count:
            return None
        stddev = float(np.sqrt(self._squares / self.count))
        return NumericStatistics(self.min, self.max, float(self._mean), stddev)

    @property
    def storage(self) -> pa.DataType:
        """The narrowest Arrow type that holds all the numbers exactly."""
        if not self.count:
            return pa.float32()
        if self.whole and max(abs(self.min), abs(self.max)) <= _EXACT_WHOLE:
            return next(kind for kind in _INTEGERS if _holds(kind, self.min, self.max))
        return pa.float32() if self.single else pa.float64()

    def _update_moments(self, values: npt.NDArray[np.float64]) -> None:
        # Squares of the largest doubles need a wider exponent.
        wide = max(-self.min, self.max) > _LARGE
        numbers = values.astype(np.longdouble) if wide else values
        count, mean = len(numbers), numbers.mean()
        squares = np.square(numbers - mean).sum()
        total = self.count + count
        shift = mean - self._mean
        self._mean += shift * count / total
        self._squares += squares + shift * shift * self.count * count / total
        self.count = total


class Missing:
    """Counts rows without a value.

    Attributes:
        count: How many there were.
        first: Row number (from 1) of the first of them; 0 for none.
    """

    def __init__(self) -> None:
        """Begins with none."""
        self.count = 0
        self.first = 0

    def update(self, values: pa.Array, rows_before: int) -> None:
        """Adds rows that follow `rows_before` others."""
        if values.null_count and not self.count:
            self.first = rows_before + pc.index(pc.is_null(values), True).as_py() + 1
        self.count += values.null_count


class ColumnProfile:
    """What is known of a column after some of its rows.

    Attributes:
        raw: The column as the file gives it.
        rows: Rows seen.
        missing: Rows without a value.
        unread: Rows without a number, truth value or time, where all others have one.
        first_infinite: Row number (from 1) of the first infinite value; 0 for none.
        numbers: Statistics, as long as every value is a number.
        not_number: Row number and text of the first value that is no number.
        is_boolean: Whether every value so far is `true` or `false`.
        is_timestamp: Whether every value so far is a time.
        labels: Rows of each distinct value; None once there are too many, or they are not wanted.
    """

    def __init__(self, raw: RawColumn, *, want_labels: bool) -> None:
        """Begins the profile of a column.

        Args:
            raw: The column.
            want_labels: Whether to count the distinct values of numbers too.
        """
        kind = raw.kind
        unparsed = kind is RawKind.UNPARSED
        counted = want_labels or kind in (RawKind.UNPARSED, RawKind.STRING, RawKind.BOOLEAN)
        self.raw = raw
        self.rows = 0
        self.missing = Missing()
        self.unread = Missing()
        self.first_infinite = 0
        self.numbers = NumberProfile() if unparsed or kind is RawKind.NUMBER else None
        self.not_number = (0, "")
        self.is_boolean = unparsed or kind is RawKind.BOOLEAN
        self.is_timestamp = unparsed or kind is RawKind.TIMESTAMP
        self.labels: dict[Label, int] | None = {} if counted else None
        self._texts = DistinctSketch()

    @property
    def distinct_count(self) -> int:
        """Distinct values: exact up to 1,000, else an estimate."""
        if self.labels is not None:
            return len(self.labels)
        if self.numbers is not None:
            return self.numbers.distinct.estimate()
        return self._texts.estimate()

    def update(self, values: pa.Array) -> None:
        """Adds rows of the column."""
        read: pa.Array | None = values
        if self.raw.kind is RawKind.UNPARSED:
            values = parsing.clean(values)
            read = self._parse(values)
        elif self.raw.kind is RawKind.NUMBER:
            self._update_numbers(values)
        self.missing.update(values, self.rows)
        if read is not None:
            self.unread.update(read, self.rows)
        self._count_labels(values)
        self.rows += len(values)

    def _parse(self, text: pa.Array) -> pa.Array | None:
        """Tries what the text may stand for. Returns that reading, None where it is only text."""
        if self.numbers is not None:
            numbers = parsing.parse_numbers(text)
            if numbers is not None:
                self._update_numbers(numbers)
                # One value that is a number is neither a truth value nor a time.
                only_missing = numbers.null_count == len(numbers)
                self.is_boolean = self.is_boolean and only_missing
                self.is_timestamp = self.is_timestamp and only_missing
                return numbers
            self._note_not_number(text)
        booleans = parsing.parse_booleans(text) if self.is_boolean else None
        self.is_boolean = booleans is not None
        if booleans is not None:
            self.is_timestamp = self.is_timestamp and booleans.null_count == len(booleans)
            return booleans
        times = parsing.parse_timestamps(text) if self.is_timestamp else None
        self.is_timestamp = times is not None
        return times

    def _note_not_number(self, text: pa.Array) -> None:
        position = parsing.first_unparsed(text)
        self.not_number = (self.rows + position + 1, str(text[position].as_py()))
        self.numbers = None

    def _update_numbers(self, numbers: pa.Array) -> None:
        assert self.numbers is not None
        present = pc.drop_null(numbers).cast(pa.float64(), safe=False).to_numpy()
        finite = np.isfinite(present)
        if not finite.all():
            self._note_infinite(numbers)
            present = present[finite]
        self.numbers.update(present)

    def _note_infinite(self, numbers: pa.Array) -> None:
        if not self.first_infinite:
            position = pc.index(pc.is_inf(numbers), True).as_py()
            self.first_infinite = self.rows + position + 1

    def _count_labels(self, values: pa.Array) -> None:
        if self.labels is None:
            if self.numbers is None and pa.types.is_string(values.type):
                self._texts.add(hash_texts(pc.unique(pc.drop_null(values)).to_pylist()))
            return
        counted = pc.value_counts(pc.drop_null(values))
        pairs = zip(counted.field("values"), counted.field("counts"), strict=True)
        for value, count in pairs:
            label = value.as_py()
            self.labels[label] = self.labels.get(label, 0) + count.as_py()
        if len(self.labels) > MAX_CATEGORIES:
            self._texts.add(hash_texts([str(label) for label in self.labels]))
            self.labels = None


def _holds(kind: pa.DataType, low: float, high: float) -> bool:
    limits = np.iinfo(kind.to_pandas_dtype())
    return bool(limits.min <= low and high <= limits.max)
