"""Small Transformer encoders for texts; see `common.networks.kinds.transformer`."""

from collections.abc import Iterator
from typing import ClassVar, Self

from common.networks.kinds.base import Data, NetworkInput
from common.networks.kinds.costs import NetworkCost
from common.networks.kinds.text import TextHead
from common.networks.kinds.transformer import TransformerNetwork, norm_cost


class TextTransformerNetwork(TransformerNetwork, TextHead):
    """A Transformer encoder for texts; see `aimass.type.v1.TextTransformerNetwork`."""

    data: ClassVar[Data] = "texts"

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        head = self.completed_head(network_input, field)
        return self.model_copy(update={**head, "blocks": self.completed_blocks})

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        vectors, tokens = network_input.vocabulary_size, network_input.text_length
        embedded = NetworkCost((vectors + tokens) * self.width, 0, 2 * tokens)
        return (
            embedded
            + self.blocks_cost(tokens)
            + norm_cost(self.width, tokens)
            + self.head_cost(self.width, network_input, outputs)
        )

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        yield "embedding"
        yield from self.block_layer_names()
        yield from self.head_layer_names()
