"""The first pass over the data: what the values of each column are."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.data.schema import MAX_CATEGORIES
from common.data.storage import vectors
from services.catalog.domain import parsing
from services.catalog.domain.moments import NumberProfile
from services.catalog.domain.sources.base import RawColumn, RawKind

# Text as it is written, or a number, truth value or time.
Label = str | float | bool | datetime

_TEXTS = (RawKind.UNPARSED, RawKind.STRING)
_LABELS = (*_TEXTS, RawKind.BOOLEAN)


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


@dataclass(frozen=True)
class _Texts:
    """Cleaned texts of some rows, each perhaps once.

    Attributes:
        distinct: The texts.
        codes: Position in `distinct` of each row's text; None where they are the same.
    """

    distinct: pa.Array
    codes: pa.Array | None

    @classmethod
    def of(cls, values: pa.Array) -> "_Texts":
        if pa.types.is_dictionary(values.type):
            return cls(parsing.clean(values.dictionary), values.indices)
        return cls(parsing.clean(values), None)

    def spread(self, read: pa.Array) -> pa.Array:
        """Returns the rows of what was made of the distinct texts."""
        return read if self.codes is None else read.take(self.codes)

    def counts(self) -> list[tuple[Label, int]]:
        if self.codes is None:
            return _counts(self.distinct)
        present = pc.drop_null(self.codes).to_numpy()
        counts = np.bincount(present, minlength=len(self.distinct)).tolist()
        pairs = zip(self.distinct.to_pylist(), counts, strict=True)
        return [(text, count) for text, count in pairs if text is not None and count]

    def first_row(self, position: int) -> int:
        return position if self.codes is None else int(pc.index(self.codes, position).as_py())


class ColumnProfile:
    """What is known of a column after some of its rows.

    Attributes:
        raw: The column as the file gives it.
        rows: Rows seen.
        missing: Rows without a value.
        unread: Rows without a number, truth value or time, where all others have one.
        first_infinite: Row number (from 1) of the first infinite value; 0 for none.
        numbers: Statistics, as long as every value is a number, or every vector one of numbers.
        not_number: Row number and text of the first value that is no number.
        not_time: Row number and text of the first value that is no time, where others are.
        is_boolean: Whether every value so far is `true` or `false`.
        is_timestamp: Whether every value so far is a time.
        times: Earliest and latest time in microseconds since 1970, UTC; None for no time.
        labels: Rows of each distinct value; None once there are too many, or they are not wanted.
        sample: Some of the values, set after the last row.
        scale: Rows for each one of the sample.
    """

    def __init__(self, raw: RawColumn, *, want_labels: bool) -> None:
        """Begins the profile of a column.

        Args:
            raw: The column.
            want_labels: Whether to count the distinct values of numbers too.
        """
        kind = raw.kind
        unparsed = kind is RawKind.UNPARSED
        numeric = unparsed or kind in (RawKind.NUMBER, RawKind.EMBEDDING)
        self.raw = raw
        self.rows = 0
        self.missing = Missing()
        self.unread = Missing()
        self.first_infinite = 0
        self.numbers = NumberProfile() if numeric else None
        self.not_number = (0, "")
        self.not_time = (0, "")
        self.is_boolean = unparsed or kind is RawKind.BOOLEAN
        self.is_timestamp = unparsed or kind is RawKind.TIMESTAMP
        self.times: tuple[int, int] | None = None
        self.labels: dict[Label, int] | None = {} if want_labels or kind in _LABELS else None
        self.sample: pa.Array | None = None
        self.scale = 1.0

    def update(self, values: pa.Array) -> None:
        """Adds rows of the column."""
        if self.raw.kind in _TEXTS:
            self._update_texts(values)
        else:
            self._update_typed(values)
        self.rows += len(values)

    def _update_typed(self, values: pa.Array) -> None:
        self.missing.update(values, self.rows)
        self.unread.update(values, self.rows)
        if self.raw.kind is RawKind.NUMBER:
            self._update_numbers(values)
        elif self.raw.kind is RawKind.EMBEDDING:
            self._update_vectors(values)
        elif self.raw.kind is RawKind.TIMESTAMP:
            self._update_times(values)
        if self.labels is not None:
            self._count_labels(_counts(values))

    def _update_texts(self, values: pa.Array) -> None:
        if self._can_only_be_timestamp:
            times = parsing.read_timestamps(values)
            if times is not None:
                self._update_times(times)
                self.missing.update(times, self.rows)
                self.unread.update(times, self.rows)
                return
        texts = _Texts.of(values)
        spread = texts.spread(texts.distinct) if texts.distinct.null_count else values
        self.missing.update(spread, self.rows)
        read = self._parse(texts) if self.raw.kind is RawKind.UNPARSED else None
        if read is not None:
            self.unread.update(read, self.rows)
        if self.labels is not None:
            self._count_labels(texts.counts())

    @property
    def _can_only_be_timestamp(self) -> bool:
        others = self.numbers is not None or self.is_boolean or self.labels is not None
        return self.is_timestamp and not others

    def _parse(self, texts: _Texts) -> pa.Array | None:
        """Tries what the texts may stand for. Returns the rows read; None if they are but text."""
        if self.numbers is not None:
            numbers = parsing.parse_numbers(texts.distinct)
            if numbers is not None:
                # One value that is a number is neither a truth value nor a time.
                only_missing = numbers.null_count == len(numbers)
                self.is_boolean = self.is_boolean and only_missing
                self.is_timestamp = self.is_timestamp and only_missing
                spread = texts.spread(numbers)
                self._update_numbers(spread)
                return spread
            self.not_number = self._first_fault(texts)
            self.numbers = None
        booleans = parsing.parse_booleans(texts.distinct) if self.is_boolean else None
        self.is_boolean = booleans is not None
        if booleans is not None:
            self.is_timestamp = self.is_timestamp and booleans.null_count == len(booleans)
            return texts.spread(booleans)
        times = parsing.parse_timestamps(texts.distinct) if self.is_timestamp else None
        if times is None:
            self._note_not_time(texts)
            return None
        self._update_times(times)
        return texts.spread(times)

    def _first_fault(self, texts: _Texts) -> tuple[int, str]:
        position = parsing.first_unparsed(texts.distinct)
        row = self.rows + texts.first_row(position) + 1
        return row, str(texts.distinct[position].as_py())

    def _note_not_time(self, texts: _Texts) -> None:
        if self.is_timestamp:
            position = parsing.first_untimed(texts.distinct)
            row = self.rows + texts.first_row(position) + 1
            self.not_time = (row, str(texts.distinct[position].as_py()))
        self.is_timestamp = False

    def _update_numbers(self, numbers: pa.Array) -> None:
        assert self.numbers is not None
        present = numbers if not numbers.null_count else pc.drop_null(numbers)
        self._update_finite(present.cast(pa.float64(), safe=False).to_numpy(), numbers)

    def _update_finite(self, present: npt.NDArray[np.float64], numbers: pa.Array) -> None:
        assert self.numbers is not None
        finite = np.isfinite(present)
        if not finite.all():
            if not self.first_infinite:
                infinite = pc.and_kleene(pc.is_valid(numbers), pc.invert(pc.is_finite(numbers)))
                self.first_infinite = self.rows + pc.index(infinite, True).as_py() + 1
            present = present[finite]
        self.numbers.update(present)

    def _update_vectors(self, values: pa.Array) -> None:
        assert self.numbers is not None
        rows = vectors(values)[pc.is_valid(values).to_numpy(zero_copy_only=False)]
        flat = rows.astype(np.float64, copy=False).ravel()
        finite = np.isfinite(flat)
        if not finite.all() and not self.first_infinite:
            width = max(rows.shape[1], 1)
            self.first_infinite = self.rows + int(np.flatnonzero(~finite)[0]) // width + 1
        self.numbers.update(flat[finite])

    def _update_times(self, times: pa.Array) -> None:
        span = pc.min_max(times.cast(pa.int64()))
        low, high = span["min"].as_py(), span["max"].as_py()
        if low is not None:
            before = self.times or (low, high)
            self.times = (min(low, before[0]), max(high, before[1]))

    def _count_labels(self, counts: list[tuple[Label, int]]) -> None:
        assert self.labels is not None
        for label, count in counts:
            self.labels[label] = self.labels.get(label, 0) + count
        if len(self.labels) > MAX_CATEGORIES:
            self.labels = None


def _counts(values: pa.Array) -> list[tuple[Label, int]]:
    counted = pc.value_counts(pc.drop_null(values))
    labels, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return list(zip(labels, counts, strict=True))
