"""Linear maps from the past of a series to its future.

Source: Zeng et al., "Are Transformers Effective for Time Series Forecasting?", 2023 (its DLinear;
without a moving average its NLinear).
"""

from collections.abc import Iterator
from typing import ClassVar, Self

from pydantic import Field, field_validator

from common.networks.kinds.base import Data, NetworkInput, NetworkKind
from common.networks.kinds.costs import NetworkCost
from common.networks.kinds.covariates import beside_width, effects_cost


class SeriesLinearNetwork(NetworkKind):
    """Linear maps of trend and rest of a window; see `aimass.type.v1.SeriesLinearNetwork`."""

    data: ClassVar[Data] = "time series"

    moving_average: int = Field(25, ge=1, le=1_001)

    @field_validator("moving_average")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"must be odd; use {value - 1} or {value + 1} instead of {value}")
        return value

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        widest = network_input.window - 1 + network_input.window % 2
        return self.model_copy(update={"moving_average": min(self.moving_average, widest)})

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        window = network_input.window
        has_trend = self.moving_average > 1
        weights = (1 + has_trend) * window * outputs
        smoothing = has_trend * window * self.moving_average
        kept = (1 + has_trend) * (window + outputs)
        beside = beside_width(network_input, outputs)
        weights += beside * outputs
        cost = NetworkCost(weights + outputs, weights + smoothing, kept + beside)
        return cost + effects_cost(network_input, outputs)

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        yield "rest"
        if self.moving_average > 1:
            yield "trend"
