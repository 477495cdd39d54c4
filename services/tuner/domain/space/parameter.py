"""What can be set: numbers, whole numbers, choices, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from services.tuner.domain.space.configuration import Configuration, Setting

if TYPE_CHECKING:
    from services.tuner.domain.space.scale import Scale

DIGITS = 12
"""Numbers are rounded to so many, so that shares lead back to what they came from."""


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

    @cached_property
    def scale(self) -> "Scale":
        """Its range."""
        return _scale(self.low, self.high, self.step, self.is_log)

    def at(self, share: float) -> float:
        """Returns the value at a share of the range, 0 to 1."""
        value = float(f"{float(self.scale.values(share)):.{DIGITS}g}")
        return min(max(value, self.low), self.high)

    def share(self, value: Setting) -> float:
        """Returns where in the range a value is, 0 to 1."""
        return float(self.scale.shares(float(value)))


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

    @cached_property
    def scale(self) -> "Scale":
        """Its range."""
        return _scale(self.low, self.high, self.step, self.is_log)

    def at(self, share: float) -> int:
        """Returns the value at a share of the range, 0 to 1; each has an equal part of it."""
        return int(self.scale.values(share))

    def share(self, value: Setting) -> float:
        """Returns where in the range a value is, 0 to 1."""
        return float(self.scale.shares(float(value)))


@dataclass(frozen=True)
class Choice:
    """One of some values without order; attributes as of `Float`."""

    name: str
    values: tuple[Setting, ...]
    default: Setting
    when: Condition | None = None

    @cached_property
    def scale(self) -> "Scale":
        """The positions of its values."""
        return _scale(0, len(self.values) - 1, 1.0, False)

    def at(self, share: float) -> Setting:
        """Returns the value at a share of the range, 0 to 1; each has an equal part of it."""
        return self.values[int(self.scale.values(share))]

    def share(self, value: Setting) -> float:
        """Returns the middle of a value's part of the range."""
        return float(self.scale.shares(self.values.index(value)))


Parameter = Float | Integer | Choice


def names_of(parameters: Sequence[Parameter]) -> list[str]:
    """Returns the names, in order."""
    return [each.name for each in parameters]


def _scale(low: float, high: float, step: float, is_log: bool) -> "Scale":
    # Services look at parameters too, and start without numpy.
    from services.tuner.domain.space.scale import Scale  # noqa: PLC0415

    return Scale(low, high, step, is_log)
