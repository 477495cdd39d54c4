"""Causal convolutions whose steps double from level to level.

Source: Bai, Kolter and Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent
Networks for Sequence Modeling", 2018 (without its weight normalisation).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, ClassVar, Self

from pydantic import Field

from common.errors import InvalidFieldError
from common.networks.kinds.base import Data, NetworkInput, NetworkKind
from common.networks.kinds.costs import NetworkCost, dense_cost, kept
from common.networks.kinds.covariates import effects_cost

Channels = Annotated[int, Field(ge=1, le=4_096)]

_CHANNELS = 32
_MOST_LEVELS = 16


class TcnNetwork(NetworkKind):
    """Residual levels of dilated causal convolutions; see `aimass.type.v1.TcnNetwork`."""

    data: ClassVar[Data] = "time series"

    channels: tuple[Channels, ...] = Field((), max_length=_MOST_LEVELS)
    inner_channels: tuple[Channels, ...] = Field((), max_length=_MOST_LEVELS)
    kernel_size: int = Field(3, ge=2, le=15)
    dropout: float = Field(0.0, ge=0, lt=1)

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        channels = self.channels or (_CHANNELS,) * self._levels_to_see(network_input.window)
        inner = self.inner_channels or channels
        if len(inner) != len(channels):
            raise InvalidFieldError(
                f"{field}.inner_channels",
                f"There are {len(channels)} levels but {len(inner)} numbers; give one for each, or "
                "none for the default.",
            )
        return self.model_copy(update={"channels": channels, "inner_channels": inner})

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        window = network_input.window
        total = effects_cost(network_input, outputs)
        for (before, after), inner in zip(
            self._steps(network_input.past_columns), self.inner_channels, strict=True
        ):
            total += _convolution_cost(before, inner, self.kernel_size, window)
            total += _convolution_cost(inner, after, self.kernel_size, window)
            if before != after:
                total += _convolution_cost(before, after, 1, window)
            total += kept((inner + 2 * after) * window)
        ahead = outputs * network_input.known_columns
        return total + dense_cost([self.channels[-1] + ahead, outputs])

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        for place, (before, after) in enumerate(self._steps()):
            yield from (f"levels.{place}.conv1", f"levels.{place}.conv2")
            if before != after:
                yield f"levels.{place}.shortcut"
        yield "head"

    def _steps(self, beside: int = 0) -> Iterator[tuple[int, int]]:
        """Channels before and behind each level, with so many columns beside the series."""
        return pairwise((1 + beside, *self.channels))

    def _levels_to_see(self, window: int) -> int:
        """Returns how many levels there must be so that the last value sees the first."""
        levels, seen = 1, 1 + 2 * (self.kernel_size - 1)
        while seen < window and levels < _MOST_LEVELS:
            seen += 2 * (self.kernel_size - 1) * 2**levels
            levels += 1
        return levels


def _convolution_cost(inputs: int, outputs: int, kernel: int, length: int) -> NetworkCost:
    weights = inputs * outputs * kernel
    return NetworkCost(weights + outputs, weights * length, outputs * length)
