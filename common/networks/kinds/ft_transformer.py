"""Transformers for tables, in which each column is a token.

Source: Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data", 2021. The linear
layers of its blocks are those of the original Transformer here, not gated ones.
"""

from collections.abc import Iterator
from typing import Self

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.costs import NetworkCost, dense_cost
from common.networks.kinds.transformer import TransformerNetwork, norm_cost


class FtTransformerNetwork(TransformerNetwork):
    """A Transformer for tables; see `aimass.type.v1.FtTransformerNetwork`."""

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        return self.model_copy(update={"blocks": self.completed_blocks})

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        sizes = network_input.category_sizes
        columns = network_input.numeric_columns + len(sizes)
        vectors = network_input.numeric_columns + sum(sizes) + columns + 1
        tokens = columns + 1
        return (
            NetworkCost(
                parameters=vectors * self.width,
                multiplications=network_input.numeric_columns * self.width,
                activations=2 * tokens * self.width,
            )
            + self.blocks_cost(tokens)
            + norm_cost(self.width, 1)
            + dense_cost([self.width, outputs])
        )

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        yield from self.block_layer_names()
        yield "head"
