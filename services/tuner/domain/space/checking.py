"""What is wrong with a space or a configuration, in sentences that name the cure."""

import math
from collections.abc import Iterator, Mapping, Sequence

from common.wording import quoted, shortened
from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.constraint import Constraint, Linear
from services.tuner.domain.space.expression import Expression
from services.tuner.domain.space.expression_kinds import expression_flaws
from services.tuner.domain.space.parameter import Choice, Float, Integer, Parameter

_TOLERANCE = 1e-6


def flaws_of(parameters: Sequence[Parameter], constraints: Sequence[Constraint]) -> list[str]:
    """Returns what is wrong with a space; empty where nothing is."""
    known: dict[str, Parameter] = {}
    found = [] if parameters else ["The space has no parameters: give at least one."]
    for each in parameters:
        if not each.name:
            found.append("A parameter has no name: give each one.")
        if each.name in known:
            found.append(f"{each.name} is there twice: rename one of them.")
        found += _flaws(each)
        found += _condition_flaws(each, known)
        known[each.name] = each
    for constraint in constraints:
        found += _constraint_flaws(constraint, known)
    return found


def problems_of(
    parameters: Sequence[Parameter],
    constraints: Sequence[Constraint],
    configuration: Configuration,
) -> list[str]:
    """Returns what is wrong with a configuration; empty where nothing is."""
    known = {each.name for each in parameters}
    found = [
        f"{quoted(name)} is no parameter of the space: leave it out."
        for name in configuration
        if name not in known
    ]
    for each in parameters:
        found += _setting_problems(each, configuration)
    if not found:
        found += [
            f"{', '.join(each.names)} break the constraint {each}: change one of them."
            for each in constraints
            if not each.holds(configuration)
        ]
    return found


def _setting_problems(parameter: Parameter, configuration: Configuration) -> Iterator[str]:
    name, when = parameter.name, parameter.when
    counts = when is None or when.holds(configuration)
    if name not in configuration:
        if counts:
            yield f"{name} is missing: give {_allowed(parameter)}."
    elif not counts and when is not None:
        yield (
            f"{name} does not count here: leave it out, or set {when.parent} to "
            f"{_either(when.values)}."
        )
    elif not is_value(parameter, configuration[name]):
        yield f"{name} is {shortened(repr(configuration[name]))}: give {_allowed(parameter)}."


def is_value(parameter: Parameter, value: Setting) -> bool:
    """Returns whether a parameter can have a value."""
    if isinstance(parameter, Choice):
        return value in parameter.values
    if isinstance(value, str | bool) or not math.isfinite(value):
        return False
    if not parameter.low <= value <= parameter.high:
        return False
    if not parameter.step:
        return True
    steps = (value - parameter.low) / parameter.step
    return abs(steps - round(steps)) < _TOLERANCE


def _allowed(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return _either(parameter.values)
    kind = "a whole number" if isinstance(parameter, Integer) else "a number"
    text = f"{kind} from {parameter.low!r} to {parameter.high!r}"
    if parameter.step and (parameter.step != 1 or isinstance(parameter, Float)):
        text += f" in steps of {parameter.step!r}"
    return text


def _either(values: Sequence[Setting]) -> str:
    return " or ".join(repr(each) for each in values)


def _flaws(parameter: Parameter) -> Iterator[str]:
    found = list(
        _choice_flaws(parameter) if isinstance(parameter, Choice) else _range_flaws(parameter)
    )
    yield from found
    if not found and not is_value(parameter, parameter.default):
        yield (
            f"The default of {parameter.name} is {parameter.default!r}: give {_allowed(parameter)}."
        )


def _choice_flaws(parameter: Choice) -> Iterator[str]:
    if not parameter.values:
        yield f"{parameter.name} has no values: give at least one."
    elif len(set(parameter.values)) < len(parameter.values):
        yield f"{parameter.name} has equal values: give each once (True and 1 are equal)."


def _range_flaws(parameter: Float | Integer) -> Iterator[str]:
    name = parameter.name
    if not all(math.isfinite(each) for each in (parameter.low, parameter.high, parameter.step)):
        yield f"The range of {name} is not finite: give finite numbers."
    elif parameter.low > parameter.high:
        yield f"The range of {name} is empty: give a low that is at most its high."
    elif parameter.is_log and parameter.low <= 0:
        yield f"{name} is on a log scale: give a low above 0, or a scale that is not log."
    elif parameter.step < 0 or (isinstance(parameter, Integer) and parameter.step < 1):
        least = "1 or more" if isinstance(parameter, Integer) else "0 or more"
        yield f"The step of {name} is {parameter.step!r}: give {least}."


def _condition_flaws(parameter: Parameter, earlier: Mapping[str, Parameter]) -> Iterator[str]:
    when = parameter.when
    if when is None:
        return
    parent = earlier.get(when.parent)
    if parent is None:
        yield f"{parameter.name} depends on {when.parent}: put that parameter before it."
    elif isinstance(parent, Float):
        yield f"{parameter.name} depends on {when.parent}: make that a choice or whole number."
    elif not when.values:
        yield f"{parameter.name} never counts: give values of {when.parent} where it does."
    else:
        for value in when.values:
            if not is_value(parent, value):
                yield (
                    f"{parameter.name} counts where {when.parent} is {value!r}, which it never is: "
                    f"give {_allowed(parent)}."
                )


def _constraint_flaws(constraint: Constraint, known: Mapping[str, Parameter]) -> Iterator[str]:
    if isinstance(constraint, Expression):
        yield from expression_flaws(constraint, known)
        return
    shown = quoted(constraint)
    if not constraint.names:
        yield "A constraint names no parameters: give some, or leave it out."
    for name in constraint.names:
        if name not in known:
            yield f"The constraint {shown} names {name}: give a parameter of the space."
        elif isinstance(constraint, Linear) and isinstance(known[name], Choice):
            yield f"The constraint {shown} adds up {name}: give a number, not a choice."
    if isinstance(constraint, Linear):
        numbers = (*(weight for _, weight in constraint.weights), constraint.at_most)
        if not all(math.isfinite(each) for each in numbers):
            yield f"The constraint {shown} is not finite: give finite numbers."
        return
    for name, value in constraint.settings:
        if name in known and not is_value(known[name], value):
            yield (
                f"The constraint {shown} sets {name} to {value!r}: give {_allowed(known[name])}."
            )
