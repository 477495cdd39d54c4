"""One space of all families: which family is the first choice, the rest depends on it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.tuner.domain.families.family import Family
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.parameter import Choice, Condition, Parameter
from services.tuner.domain.space.space import Space

FAMILY = "family"
_SEPARATOR = ":"


def joint_space(problem: Problem, families: Sequence[Family]) -> Space:
    """Returns the space of the settings of all families; names are `family:name`.

    Args:
        problem: What is to be learned.
        families: At least one, the default first.
    """
    names = tuple(each.name for each in families)
    parameters: list[Parameter] = [Choice(FAMILY, names, names[0])]
    for family in families:
        parameters += [_of(family.name, each) for each in family.space(problem).parameters]
    return Space(tuple(parameters))


def joined_configuration(family: str, configuration: Configuration) -> Configuration:
    """Returns the point of the joint space for the settings of a family."""
    own: Mapping[str, Setting] = {
        f"{family}{_SEPARATOR}{name}": value for name, value in configuration.items()
    }
    return {FAMILY: family, **own}


def parted_configuration(configuration: Configuration) -> tuple[str, Configuration]:
    """Returns the family and its settings for a point of the joint space."""
    family = str(configuration[FAMILY])
    prefix = f"{family}{_SEPARATOR}"
    own = {
        name.removeprefix(prefix): value
        for name, value in configuration.items()
        if name.startswith(prefix)
    }
    return family, own


def _of(family: str, parameter: Parameter) -> Parameter:
    when = Condition(FAMILY, (family,))
    if parameter.when is not None:
        when = replace(parameter.when, parent=f"{family}{_SEPARATOR}{parameter.when.parent}")
    return replace(parameter, name=f"{family}{_SEPARATOR}{parameter.name}", when=when)
