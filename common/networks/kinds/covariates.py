"""What stands beside a series: columns of its past, and columns that are known ahead.

A network of any kind forecasts what columns that are known ahead do not explain, as regressions
with correlated errors do (Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 2021,
chapter 10): the effect of a step's values is taken off the window, and added to the forecast.
"""

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.costs import NOTHING, NetworkCost, kept

EFFECT_WIDTH = 16
"""Hidden units of what turns the known values of one step into their effect."""


def beside_width(network_input: NetworkInput, outputs: int) -> int:
    """Returns how many numbers stand beside a window: its past columns, and what is known ahead."""
    past = network_input.window * network_input.past_columns
    return past + outputs * network_input.known_columns


def effects_cost(network_input: NetworkInput, outputs: int) -> NetworkCost:
    """Returns the cost of the effects of columns that are known ahead."""
    columns = network_input.known_columns
    if not columns:
        return NOTHING
    steps = network_input.window + outputs
    weights = EFFECT_WIDTH * (columns + 1)
    cost = NetworkCost(weights + EFFECT_WIDTH, weights * steps, 0, layers=3)
    return cost + kept(steps * (columns + 2 * EFFECT_WIDTH + 1))
