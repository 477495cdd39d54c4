"""What parameters may not be together."""

from dataclasses import dataclass

from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.expression import Expression

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Linear:
    """A weighted sum of numbers has a largest value; where one of them does not count, it holds.

    Attributes:
        weights: Names of numbers and what each is multiplied by.
        at_most: Largest sum.
    """

    weights: tuple[tuple[str, float], ...]
    at_most: float

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that it looks at."""
        return tuple(name for name, _ in self.weights)

    def holds(self, configuration: Configuration) -> bool:
        """Whether it does."""
        if any(name not in configuration for name in self.names):
            return True
        total = sum(weight * float(configuration[name]) for name, weight in self.weights)
        return total <= self.at_most + TOLERANCE * max(1.0, abs(self.at_most))

    def __str__(self) -> str:
        total = " + ".join(f"{weight:g} * {name}" for name, weight in self.weights)
        return f"{total} <= {self.at_most:g}"


@dataclass(frozen=True)
class Forbidden:
    """Settings that may not all be there at once.

    Attributes:
        settings: Names and values.
    """

    settings: tuple[tuple[str, Setting], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that it looks at."""
        return tuple(name for name, _ in self.settings)

    def holds(self, configuration: Configuration) -> bool:
        """Whether it does."""
        return any(
            name not in configuration or configuration[name] != value
            for name, value in self.settings
        )

    def __str__(self) -> str:
        return "not " + " and ".join(f"{name} = {value!r}" for name, value in self.settings)


Constraint = Linear | Forbidden | Expression
