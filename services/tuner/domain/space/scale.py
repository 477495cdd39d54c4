"""Equal shares of a range, of one number or of many at once."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """A range of numbers, in which shares run from 0 to 1.

    Attributes:
        low: Smallest value.
        high: Largest value.
        step: Values are `low` plus multiples of it, and each has an equal part of the shares; 0
            for any.
        is_log: Whether equal ratios count as equal steps; then `low` is above 0.
    """

    low: float
    high: float
    step: float = 0.0
    is_log: bool = False

    @cached_property
    def count(self) -> float:
        """How many values there are; infinite where any number is one."""
        if self.high <= self.low:
            return 1
        return 1 + math.floor((self.high - self.low) / self.step + 1e-9) if self.step else math.inf

    def values(self, shares: Numbers | float) -> Numbers:
        """Returns the values at shares."""
        low, high = self._ends
        if self.is_log:
            values = low * np.exp(np.multiply(shares, math.log(high / low)))
        else:
            values = low + np.multiply(shares, high - low)
        if not self.step:
            return np.asarray(np.clip(values, self.low, self.high))
        return np.asarray(self.low + self.step * self.steps(values))

    def shares(self, values: Numbers | float) -> Numbers:
        """Returns where in the range values are."""
        low, high = self._ends
        if high <= low:
            return np.full(np.shape(values), 0.5)
        if self.is_log:
            return np.asarray(np.log(np.divide(values, low)) / math.log(high / low))
        return np.asarray(np.subtract(values, low) / (high - low))

    def steps(self, values: Numbers | float) -> Numbers:
        """Returns how many steps values are above the lowest; only where there are steps."""
        steps = np.rint(np.subtract(values, self.low) / self.step)
        return np.asarray(np.clip(steps, 0, self.count - 1))

    @cached_property
    def _ends(self) -> tuple[float, float]:
        if not self.step:
            return self.low, self.high
        half = (min(self.step, self.low) if self.is_log else self.step) / 2
        return self.low - half, self.low + self.step * (self.count - 1) + self.step / 2
