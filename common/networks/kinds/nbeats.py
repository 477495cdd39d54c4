"""Stacks of blocks that each explain a part of the past and forecast what follows from it.

Source: Oreshkin et al., "N-BEATS: Neural basis expansion analysis for interpretable time series
forecasting", 2020 (its generic architecture, a block to a stack).
"""

from collections.abc import Iterator
from typing import ClassVar, Self

from pydantic import Field

from common.networks.kinds.base import Data, NetworkInput, NetworkKind, Specification, Width
from common.networks.kinds.costs import NetworkCost, dense_cost
from common.networks.kinds.covariates import beside_width, effects_cost

_WIDTHS = (128, 128)
_BLOCKS = 3


class NBeatsBlock(Specification):
    """Hidden layers, then one linear layer to the past and one to the future."""

    hidden_widths: tuple[Width, ...] = Field(_WIDTHS, max_length=16)

    @property
    def completed(self) -> "NBeatsBlock":
        """The block with the width of each layer."""
        return self.model_copy(update={"hidden_widths": self.hidden_widths or _WIDTHS})


class NBeatsNetwork(NetworkKind):
    """Blocks on what the ones before left; see `aimass.type.v1.NBeatsNetwork`."""

    data: ClassVar[Data] = "time series"

    blocks: tuple[NBeatsBlock, ...] = Field((), max_length=64)
    dropout: float = Field(0.0, ge=0, lt=1)

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        blocks = self.blocks or (NBeatsBlock(),) * _BLOCKS
        return self.model_copy(update={"blocks": tuple(each.completed for each in blocks)})

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        window = network_input.window
        beside = beside_width(network_input, outputs)
        total = effects_cost(network_input, outputs)
        for place, block in enumerate(self.blocks):
            width = block.hidden_widths[-1]
            total += dense_cost([window + beside, *block.hidden_widths]) + dense_cost(
                [width, outputs]
            )
            if place + 1 < len(self.blocks):
                total += dense_cost([width, window])
        return total

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        behind_each = 2 + (self.dropout > 0)
        for place, block in enumerate(self.blocks):
            for number in range(len(block.hidden_widths)):
                yield f"blocks.{place}.layers.{number * behind_each}"
            yield f"blocks.{place}.forecast"
            if place + 1 < len(self.blocks):
                yield f"blocks.{place}.backcast"
