"""What is measured: usual settings of all families, and others at random."""

from collections.abc import Iterable, Sequence

import numpy as np

from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.portfolio.defaults import FIRST, FLOORS
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.parameter import Choice, Parameter
from services.tuner.domain.space.space import Space

DRAWN = {
    "light_boosting": 9,
    "perceptron": 5,
    "linear": 4,
    "support_vectors": 4,
    "hist_boosting": 3,
    "extra_trees": 3,
    "random_forest": 2,
    "nearest_neighbours": 2,
    "gaussian_process": 1,
}
"""How many settings of each family are drawn."""

_USUAL_SHARE = 0.65
"""Of the settings of one that is drawn, those that stay as they usually are."""
_DIGITS = 3
_SEED = 0

Known = tuple[str, Configuration]


def pool_of(problems: Sequence[Problem]) -> list[Known]:
    """Returns families with settings: what is tried without a portfolio first, then others.

    Settings are drawn from all that any of the problems offers; each takes of them what it has.
    """
    found: list[Known] = [*FLOORS, *FIRST]
    found += [(name, {}) for name in FAMILIES]
    generator = np.random.default_rng(_SEED)
    spaces = {
        name: _united(family.space(each) for each in problems if not family.fits(each))
        for name, family in FAMILIES.items()
    }
    for place in range(max(DRAWN.values())):
        for name, count in DRAWN.items():
            if place < count:
                found.append((name, _drawn(spaces[name], generator)))
    return [each for place, each in enumerate(found) if each not in found[:place]]


def _united(spaces: Iterable[Space]) -> Space:
    """Returns a space with the parameters of several; a choice has the values of all."""
    found: dict[str, Parameter] = {}
    for space in spaces:
        for each in space.parameters:
            known = found.setdefault(each.name, each)
            if isinstance(known, Choice) and isinstance(each, Choice):
                values = tuple(dict.fromkeys([*known.values, *each.values]))
                found[each.name] = Choice(each.name, values, known.default, known.when)
    return Space(tuple(found.values()))


def _drawn(space: Space, generator: np.random.Generator) -> Configuration:
    """Returns settings of which about half are as usual; those are left out."""
    chances = {each.name: generator.random(2) for each in space.parameters}

    def value(parameter: Parameter) -> Setting:
        is_usual, share = chances[parameter.name]
        return parameter.default if is_usual < _USUAL_SHARE else _short(parameter.at(float(share)))

    made = space.made(value)
    defaults = {each.name: each.default for each in space.parameters}
    return {name: each for name, each in made.items() if each != defaults[name]}


def _short(value: Setting) -> Setting:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
