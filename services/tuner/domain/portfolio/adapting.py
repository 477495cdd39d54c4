"""Settings that were good on other data, as a problem takes them."""

from services.tuner.domain.space.checking import is_value
from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.parameter import Choice, Parameter
from services.tuner.domain.space.space import Space


def adapted(space: Space, some: Configuration) -> Configuration:
    """Returns the configuration of a space that is nearest to settings from elsewhere.

    What the space does not have is left out, numbers beyond a range are taken to its end, and
    what cannot be taken at all is as by default.
    """
    return space.made(lambda parameter: _nearest(parameter, some))


def _nearest(parameter: Parameter, some: Configuration) -> Setting:
    value = some.get(parameter.name, parameter.default)
    if not isinstance(parameter, Choice) and isinstance(value, int | float):
        value = min(max(value, parameter.low), parameter.high)
    return value if is_value(parameter, value) else parameter.default
