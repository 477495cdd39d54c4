"""Texts as the mean of what their tokens, and pairs of these, are embedded as.

Source: Joulin et al., "Bag of Tricks for Efficient Text Classification", 2017.
"""

from collections.abc import Iterator
from typing import ClassVar, Self

from pydantic import Field

from common.networks.kinds.base import Data, NetworkInput, NetworkKind
from common.networks.kinds.costs import NetworkCost
from common.networks.kinds.text import TextHead
from common.networks.kinds.transformer import TokenWidth


class EmbeddingBagNetwork(TextHead, NetworkKind):
    """A mean of embeddings and linear layers; see `aimass.type.v1.EmbeddingBagNetwork`."""

    data: ClassVar[Data] = "texts"

    width: TokenWidth = 64
    pairs: int = Field(16_384, ge=0, le=1_048_576)

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        return self.model_copy(update=self.completed_head(network_input, field))

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        vectors, tokens = network_input.vocabulary_size + self.pairs, network_input.text_length
        # What is kept for the backward pass: the numbers of tokens and pairs, in eight bytes.
        kept = 2 * tokens * (2 if self.pairs else 1)
        embedded = NetworkCost(vectors * self.width, 0, kept)
        return embedded + self.head_cost(self.width, network_input, outputs)

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        yield "embedding"
        if self.pairs:
            yield "pairs"
        yield from self.head_layer_names()
