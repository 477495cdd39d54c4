"""Statistics of numbers that stream by, exact and in constant memory."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from common.data.schema import NumericStatistics
from services.catalog.domain.sample import Distribution

_EXACT_WHOLE = 2.0**53
_LARGE = 1e100
_INTEGERS = (pa.uint8(), pa.int8(), pa.int16(), pa.int32(), pa.int64())


class Moments:
    """Extremes, mean and deviation, by the batchwise update of Chan et al. (1979)."""

    def __init__(self) -> None:
        """Begins with no numbers."""
        self.count = 0
        self.min = np.inf
        self.max = -np.inf
        self._mean: np.floating = np.float64(0)
        self._squares: np.floating = np.float64(0)

    def update(self, values: npt.NDArray[np.float64]) -> None:
        """Adds finite numbers, shape (rows,)."""
        if not len(values):
            return
        self.min = min(self.min, float(values.min()))
        self.max = max(self.max, float(values.max()))
        # Squares of the largest doubles need a wider exponent, and so do those of the smallest.
        largest = max(-self.min, self.max)
        wide = largest > _LARGE or 0 < largest < 1 / _LARGE
        numbers = values.astype(np.longdouble) if wide else values
        count, mean = len(numbers), numbers.mean()
        deviations = numbers - mean
        # No BLAS, whose threads would fight for the cores with those that read the file.
        squares = np.multiply(deviations, deviations, out=deviations).sum()
        total = self.count + count
        shift = mean - self._mean
        self._mean += shift * count / total
        self._squares += squares + shift * shift * self.count * count / total
        self.count = total

    def statistics(self, shape: Distribution | None = None) -> NumericStatistics | None:
        """Returns the statistics; None where there is no number."""
        if not self.count:
            return None
        shape = shape or Distribution()
        deviation = float(np.sqrt(self._squares / self.count))
        return NumericStatistics(
            self.min,
            self.max,
            # Rounding must not take it out of the range, nor make a constant vary.
            min(max(float(self._mean), self.min), self.max),
            deviation if self.min < self.max else 0.0,
            shape.histogram,
            shape.percentiles,
        )


class NumberProfile(Moments):
    """Moments, and which type holds all the numbers.

    Attributes:
        whole: Whether all are whole.
        single: Whether single precision holds all of them exactly.
    """

    def __init__(self) -> None:
        """Begins with no numbers."""
        super().__init__()
        self.whole = True
        self.single = True

    def update(self, values: npt.NDArray[np.float64]) -> None:
        """Adds finite numbers, shape (rows,)."""
        super().update(values)
        if self.whole:
            self.whole = bool(np.all(values == np.trunc(values)))
        if self.single:
            with np.errstate(over="ignore"):
                self.single = bool(np.all(values.astype(np.float32) == values))

    @property
    def storage(self) -> pa.DataType:
        """The narrowest Arrow type that holds all the numbers exactly."""
        if not self.count:
            return pa.float32()
        if self.whole and max(abs(self.min), abs(self.max)) <= _EXACT_WHOLE:
            return next(kind for kind in _INTEGERS if _holds(kind, self.min, self.max))
        return pa.float32() if self.single else pa.float64()


def _holds(kind: pa.DataType, low: float, high: float) -> bool:
    limits = np.iinfo(kind.to_pandas_dtype())
    return bool(limits.min <= low and high <= limits.max)
