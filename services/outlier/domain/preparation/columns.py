"""Columns of each type as features and codes. All classes are frozen and made of plain arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from common.models.transform import code_table
from services.outlier.domain.detector import Codes, Matrix

MISSING_TIME = np.iinfo(np.int64).min
_DAY = 86_400_000_000
_WEEK = 7 * _DAY
# Features beyond this say no more, and their squares must not overflow.
_LARGEST = 1e6
_LARGEST_ENTRY = 1e100  # of a vector: its square is finite
_BLOCK_NUMBERS = 4_000_000
_DIGITS = 9


class PreparedColumn(Protocol):
    """Turns the values of one column into features.

    Attributes:
        has_codes: Whether it also makes codes.
    """

    has_codes: ClassVar[bool]

    @property
    def name(self) -> str:
        """Name of the column."""
        ...

    @property
    def width(self) -> int:
        """Number of features."""
        ...

    def features(self, values: Values, labels: Sequence[str]) -> Matrix:
        """Returns finite features, shape (rows, width).

        Args:
            values: Raw values, first axis rows.
            labels: What codes stand for; empty for other types.
        """
        ...

    def codes(self, values: Values, labels: Sequence[str]) -> Codes:
        """Returns small whole numbers, shape (rows,), 0 for missing or unknown."""
        ...


@dataclass(frozen=True)
class Scale:
    """Centres and divides; compresses the tails where those are heavy.

    Attributes:
        center: Mean, or median.
        spread: Standard deviation, or what the interquartile range says it is; above 0.
        is_heavy: Whether values far out count by their logarithm (inverse hyperbolic sine).
    """

    center: float
    spread: float
    is_heavy: bool = False

    def apply(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns scaled values; NaN stays."""
        with np.errstate(over="ignore", invalid="ignore"):
            # Halves, so that the difference of the largest numbers is finite.
            scaled = (values / 2 - self.center / 2) / (self.spread / 2)
            if self.is_heavy:
                scaled = np.arcsinh(scaled)
        return np.clip(scaled, -_LARGEST, _LARGEST)


@dataclass(frozen=True)
class NumberColumn:
    """A number: scaled, with a second feature that says where it is missing.

    Attributes:
        name: Name of the column.
        scale: How it is scaled; missing values become the centre.
        edges: Inner edges of its bins, ascending.
        missing: Scale of the feature "is missing"; None where none was missing in fitting.
        is_single: Whether the data holds 32-bit floats: others are rounded to these, so that 0.1
            is the 0.1 that was learned from.
    """

    has_codes: ClassVar[bool] = True

    name: str
    scale: Scale
    edges: npt.NDArray[np.float64]
    missing: Scale | None = None
    is_single: bool = False

    @property
    def width(self) -> int:
        """See `PreparedColumn`."""
        return 1 if self.missing is None else 2

    def features(self, values: Values, labels: Sequence[str]) -> Matrix:
        """See `PreparedColumn`."""
        numbers = self._numbers(values)
        gaps = np.isnan(numbers)
        scaled = self.scale.apply(numbers)
        scaled[gaps] = 0.0
        if self.missing is None:
            return scaled[:, None]
        return np.stack([scaled, self.missing.apply(gaps.astype(np.float64))], axis=1)

    def codes(self, values: Values, labels: Sequence[str]) -> Codes:
        """See `PreparedColumn`."""
        numbers = self._numbers(values)
        found = np.searchsorted(self.edges, numbers, side="right") + 1
        return np.where(np.isnan(numbers), 0, found).astype(np.int32)

    def _numbers(self, values: Values) -> npt.NDArray[np.float64]:
        if self.is_single:
            with np.errstate(over="ignore"):
                values = values.astype(np.float32)
        return values.astype(np.float64)


@dataclass(frozen=True)
class LabelColumn:
    """A label: how rare it is, and each of a few frequent ones as a feature of its own.

    Attributes:
        name: Name of the column.
        known: Labels seen in fitting, most frequent first.
        rarity: Negative logarithm of each one's share, scaled; first that of what is missing or was
            never seen; shape (known + 1,).
        shares: Share of each label that has a feature of its own.
        coded: The first so many labels have a code of their own, the rest share the next.
    """

    has_codes: ClassVar[bool] = True

    name: str
    known: tuple[str, ...]
    rarity: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]
    coded: int

    @property
    def width(self) -> int:
        """See `PreparedColumn`."""
        return 1 + len(self.shares)

    def features(self, values: Values, labels: Sequence[str]) -> Matrix:
        """See `PreparedColumn`."""
        positions = self._positions(values, labels)
        own = positions[:, None] == np.arange(1, len(self.shares) + 1)
        # A pair of labels is as far apart as two numbers that differ by one standard deviation.
        return np.column_stack([self.rarity[positions], (own - self.shares) / np.sqrt(2)])

    def codes(self, values: Values, labels: Sequence[str]) -> Codes:
        """See `PreparedColumn`."""
        return np.minimum(self._positions(values, labels), self.coded + 1).astype(np.int32)

    def _positions(self, values: Values, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        table = code_table(labels, self.known, first=1, unknown=0)
        return table[values.astype(np.int64)]


@dataclass(frozen=True)
class TimeColumn:
    """A point in time: how late it is, and where in the day and in the week.

    Attributes:
        name: Name of the column.
        scale: Of microseconds since 1970.
        edges: Inner edges of its bins, in microseconds.
        has_day: Whether the data spans days, so that the time of day means something.
        has_week: Whether it spans weeks.
    """

    has_codes: ClassVar[bool] = True

    name: str
    scale: Scale
    edges: npt.NDArray[np.float64]
    has_day: bool
    has_week: bool

    @property
    def width(self) -> int:
        """See `PreparedColumn`."""
        return 1 + 2 * self.has_day + 2 * self.has_week

    def features(self, values: Values, labels: Sequence[str]) -> Matrix:
        """See `PreparedColumn`."""
        times = values.astype(np.int64)
        gaps = times == MISSING_TIME
        parts = [self.scale.apply(np.where(gaps, self.scale.center, times.astype(np.float64)))]
        for period, is_there in ((_DAY, self.has_day), (_WEEK, self.has_week)):
            if is_there:
                angle = 2 * np.pi * np.mod(times, period) / period
                parts += [np.where(gaps, 0, np.sin(angle)), np.where(gaps, 0, np.cos(angle))]
        return np.stack(parts, axis=1)

    def codes(self, values: Values, labels: Sequence[str]) -> Codes:
        """See `PreparedColumn`."""
        times = values.astype(np.int64)
        found = np.searchsorted(self.edges, times.astype(np.float64), side="right") + 1
        return np.where(times == MISSING_TIME, 0, found).astype(np.int32)


def flattened(values: Values) -> Matrix:
    """Returns vectors or images as rows of numbers whose squares are finite; NaN stays."""
    flat = values.reshape(len(values), math.prod(values.shape[1:])).astype(np.float64)
    return np.asarray(np.clip(flat, -_LARGEST_ENTRY, _LARGEST_ENTRY))


@dataclass(frozen=True)
class VectorColumn:
    """An image or embedding: its main directions, all scaled alike.

    Attributes:
        name: Name of the column.
        mean: Shape (length,).
        directions: Principal directions, shape (width, length).
        residual: Scale of what they leave over, as a feature of its own.
        spread: Spread of the first direction.
    """

    has_codes: ClassVar[bool] = False

    name: str
    mean: npt.NDArray[np.float64]
    directions: npt.NDArray[np.float64]
    residual: Scale
    spread: float

    @property
    def width(self) -> int:
        """See `PreparedColumn`."""
        return len(self.directions) + 1

    def features(self, values: Values, labels: Sequence[str]) -> Matrix:
        """See `PreparedColumn`."""
        found = self.measures(values)
        along = np.clip(found[:, :-1] / self.spread, -_LARGEST, _LARGEST)
        # The last digits of a product depend on the rows beside a row, and detectors must know
        # a row again.
        features: Matrix = np.column_stack([along, self.residual.apply(found[:, -1])])
        return features.round(_DIGITS)

    def measures(self, values: Values) -> Matrix:
        """Returns how far vectors go in each direction and what is left over, not scaled."""
        block = max(1, _BLOCK_NUMBERS // len(self.mean))
        starts = range(0, max(len(values), 1), block)
        return np.concatenate([self._measures(values[start : start + block]) for start in starts])

    def _measures(self, values: Values) -> Matrix:
        flat = flattened(values)
        centered = np.where(np.isnan(flat), 0.0, flat - self.mean)
        found = centered @ self.directions.T
        left = centered - found @ self.directions
        return np.column_stack([found, np.sqrt((left**2).sum(axis=1))])

    def codes(self, values: Values, labels: Sequence[str]) -> Codes:
        """Vectors have none."""
        raise NotImplementedError
