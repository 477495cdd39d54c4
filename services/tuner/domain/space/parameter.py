"""What can be set: numbers, whole numbers, choices, and when."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.tuner.domain.space.configuration import Configuration, Setting


@dataclass(frozen=True)
class Condition:
    """A parameter counts only where another one has one of some values.

    Attributes:
        parent: Name of the other, which comes earlier in the space.
        values: Where it counts.
    """

    parent: str
    values: tuple[Setting, ...]

    def holds(self, configuration: Configuration) -> bool:
        """Whether it does; a parent that does not count itself has no value."""
        return self.parent in configuration and configuration[self.parent] in self.values


@dataclass(frozen=True)
class Float:
    """A number.

    Attributes:
        name: Unique in its space.
        low: Smallest value.
        high: Largest value.
        default: Where a search begins.
        is_log: Whether equal ratios count as equal steps; then `low` is above 0.
        step: Values are `low` plus multiples of it; 0 for any.
        when: When it counts; always if None.
    """

    name: str
    low: float
    high: float
    default: float
    is_log: bool = False
    step: float = 0.0
    when: Condition | None = None

    def at(self, share: float) -> float:
        """Returns the value at a share of the range, 0 to 1."""
        if self.is_log:
            value = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        else:
            value = self.low + share * (self.high - self.low)
        if self.step:
            value = self.low + self.step * round((value - self.low) / self.step)
        return min(max(value, self.low), self.high)

    def share(self, value: Setting) -> float:
        """Returns where in the range a value is, 0 to 1."""
        if self.high == self.low:
            return 0.5
        if self.is_log:
            return math.log(float(value) / self.low) / math.log(self.high / self.low)
        return (float(value) - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Integer:
    """A whole number; attributes as of `Float`."""

    name: str
    low: int
    high: int
    default: int
    is_log: bool = False
    step: int = 1
    when: Condition | None = None

    def at(self, share: float) -> int:
        """Returns the value at a share of the range, 0 to 1; each has an equal part of it."""
        low, high = self.low - 0.5, self.high + 0.5
        if self.is_log:
            value = math.exp(math.log(low) + share * math.log(high / low))
        else:
            value = low + share * (high - low)
        steps = round((value - self.low) / self.step)
        most = (self.high - self.low) // self.step
        return self.low + self.step * min(max(steps, 0), most)

    def share(self, value: Setting) -> float:
        """Returns where in the range a value is, 0 to 1."""
        low, high = self.low - 0.5, self.high + 0.5
        if self.is_log:
            return math.log(float(value) / low) / math.log(high / low)
        return (float(value) - low) / (high - low)


@dataclass(frozen=True)
class Choice:
    """One of some values without order; attributes as of `Float`."""

    name: str
    values: tuple[Setting, ...]
    default: Setting
    when: Condition | None = None

    def at(self, share: float) -> Setting:
        """Returns the value at a share of the range, 0 to 1; each has an equal part of it."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def share(self, value: Setting) -> float:
        """Returns the middle of a value's part of the range."""
        return (self.values.index(value) + 0.5) / len(self.values)


Parameter = Float | Integer | Choice


def names_of(parameters: Sequence[Parameter]) -> list[str]:
    """Returns the names, in order."""
    return [each.name for each in parameters]
