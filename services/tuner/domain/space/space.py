"""A search space: parameters, of which some count only where others have some values."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from services.tuner.domain.space.checking import flaws_of, problems_of
from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.constraint import Constraint
from services.tuner.domain.space.parameter import DIGITS, Choice, Integer, Parameter

if TYPE_CHECKING:
    import numpy as np

    from services.tuner.domain.space.encoding import Encoding, Vector

_TRIES = 1_000


@dataclass(frozen=True)
class Space:
    """Parameters in order: each comes after the one it depends on.

    Attributes:
        parameters: At least one.
        constraints: All must hold.
    """

    parameters: tuple[Parameter, ...]
    constraints: tuple[Constraint, ...] = ()

    @cached_property
    def encoding(self) -> "Encoding":
        """Many configurations at once as numbers."""
        # Services look at spaces too, and start without numpy.
        from services.tuner.domain.space.encoding import Encoding  # noqa: PLC0415

        return Encoding(self.parameters, self.constraints)

    @property
    def default(self) -> Configuration:
        """All defaults that count."""
        return self.made(lambda parameter: parameter.default)

    @property
    def size(self) -> float:
        """How many configurations there are, whether constraints hold or not; may be infinite."""
        children: dict[str, list[Parameter]] = {}
        for each in self.parameters:
            children.setdefault("" if each.when is None else each.when.parent, []).append(each)
        return math.prod(_size(each, children) for each in children.get("", ()))

    def flaws(self) -> list[str]:
        """Returns what is wrong with the space, in sentences that name the cure."""
        found = flaws_of(self.parameters, self.constraints)
        return found or [f"The default: {each}" for each in self.problems(self.default)]

    def problems(self, configuration: Configuration) -> list[str]:
        """Returns what is wrong with a configuration, in sentences that name the cure."""
        return problems_of(self.parameters, self.constraints, configuration)

    def is_allowed(self, configuration: Configuration) -> bool:
        """Returns whether all constraints hold."""
        return all(each.holds(configuration) for each in self.constraints)

    def sample(self, generator: "np.random.Generator") -> Configuration:
        """Returns a configuration drawn at random."""
        found = self.made(lambda parameter: parameter.at(float(generator.random())))
        if self.is_allowed(found):
            return found
        rows = self.encoding.drawn(generator, _TRIES)
        if not len(rows):
            rows = self.encoding.walked(self.vector(self.default)[None, :], generator)
        return self.encoding.configuration(rows[0])

    def neighbours(
        self, configuration: Configuration, generator: "np.random.Generator"
    ) -> list[Configuration]:
        """Returns configurations that differ in one parameter and what depends on it.

        Numbers take normal steps in their share of the range, choices any other value.
        """
        rows, _ = self.encoding.neighbours(self.vector(configuration)[None, :], generator)
        return [self.encoding.configuration(row) for row in rows]

    def enumerated(self) -> Iterator[Configuration]:
        """Yields all configurations; only where `size` is finite."""
        return (each for each in _completions(self.parameters, {}) if self.is_allowed(each))

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

    def key(self, configuration: Configuration) -> str:
        """Returns a text that equal configurations share: 1 and 1.0 are equal, order is nothing."""
        texts = [
            f"{name}:{text(configuration[each.name])}"
            for each, name, text in self._texts
            if each.name in configuration
        ]
        return "{" + ",".join(texts) + "}"

    @cached_property
    def _texts(self) -> list[tuple[Parameter, str, Callable[[Any], str]]]:
        return [(each, json.dumps(each.name), _text_of(each)) for each in self.parameters]

    def vector(self, configuration: Configuration) -> "Vector":
        """Returns where each parameter is in its range, (parameters,); see `ABSENT`."""
        found: Vector = self.encoding.rows([configuration])[0]
        return found


def joined(*groups: Sequence[Parameter]) -> Space:
    """Returns a space of the parameters of several groups, in order."""
    return Space(tuple(each for group in groups for each in group))


def _size(parameter: Parameter, children: dict[str, list[Parameter]]) -> float:
    own = children.get(parameter.name, ())
    if not own:
        return parameter.scale.count
    return sum(
        math.prod(_size(each, children) for each in own if _holds(each, parameter.name, value))
        for value in _values(parameter)
    )


def _holds(parameter: Parameter, parent: str, value: Setting) -> bool:
    return parameter.when is not None and parameter.when.holds({parent: value})


def _values(parameter: Parameter) -> Iterator[Setting]:
    scale = parameter.scale
    values = (scale.low + scale.step * place for place in range(int(scale.count)))
    return (parameter.at(float(scale.shares(value))) for value in values)


def _completions(rest: Sequence[Parameter], found: Configuration) -> Iterator[Configuration]:
    if not rest:
        yield found
        return
    first, later = rest[0], rest[1:]
    if first.when is not None and not first.when.holds(found):
        yield from _completions(later, found)
        return
    for value in _values(first):
        yield from _completions(later, {**found, first.name: value})


def _text_of(parameter: Parameter) -> Callable[[Any], str]:
    """Returns what writes a parameter's values, equal ones alike, as JSON."""
    if isinstance(parameter, Choice):
        return {value: json.dumps(value) for value in parameter.values}.__getitem__
    if isinstance(parameter, Integer):
        return lambda value: str(int(value))
    # Adding 0 turns -0 into 0.
    return lambda value: f"{float(value) + 0.0:.{DIGITS}g}"
