"""A search space: parameters, of which some count only where others have some values."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.parameter import Parameter

ABSENT = -1.0
"""What stands in a vector for a parameter that does not count."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Space:
    """Parameters in order: each comes after the one it depends on."""

    parameters: tuple[Parameter, ...]

    @property
    def default(self) -> Configuration:
        """All defaults that count."""
        return self.made(lambda parameter: parameter.default)

    def sample(self, generator: np.random.Generator) -> Configuration:
        """Returns a configuration drawn at random."""
        return self.made(lambda parameter: parameter.at(float(generator.random())))

    def made(self, value: Callable[[Parameter], Setting]) -> Configuration:
        """Returns a configuration of what counts, each parameter's value as told."""
        found: dict[str, Setting] = {}
        for parameter in self.parameters:
            if parameter.when is None or parameter.when.holds(found):
                found[parameter.name] = value(parameter)
        return found

    def completed(self, some: Configuration) -> Configuration:
        """Returns a configuration with what is known, and defaults for the rest that counts."""
        return self.made(lambda parameter: some.get(parameter.name, parameter.default))

    def vector(self, configuration: Configuration) -> Vector:
        """Returns where each parameter is in its range, (parameters,); see `ABSENT`."""
        return np.array(
            [
                each.share(configuration[each.name]) if each.name in configuration else ABSENT
                for each in self.parameters
            ]
        )

    def prefixed(self, prefix: str) -> Iterator[str]:
        """Yields the names of the parameters that begin with something."""
        return (each.name for each in self.parameters if each.name.startswith(prefix))


def joined(*groups: Sequence[Parameter]) -> Space:
    """Returns a space of the parameters of several groups, in order."""
    return Space(tuple(each for group in groups for each in group))
