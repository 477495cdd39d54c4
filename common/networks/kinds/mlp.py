"""A multi-layer perceptron with embeddings for categories."""

from collections.abc import Iterator
from typing import Self

from pydantic import Field

from common.networks.kinds.base import ActivationName, NetworkInput, NetworkKind, Width
from common.networks.kinds.columns import (
    EmbeddingWidth,
    completed_embedding_widths,
    embedding_cost,
)
from common.networks.kinds.costs import NetworkCost, dense_cost

_HIDDEN_WIDTHS = (128, 64)


class MlpNetwork(NetworkKind):
    """A multi-layer perceptron; see `aimass.type.v1.MlpNetwork`."""

    hidden_widths: tuple[Width, ...] = Field(_HIDDEN_WIDTHS, max_length=64)
    activation: ActivationName = "relu"
    dropout: float = Field(0.0, ge=0, lt=1)
    embedding_widths: tuple[EmbeddingWidth, ...] = ()
    batch_norm: bool = False

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        widths = completed_embedding_widths(self.embedding_widths, network_input, field)
        hidden = self.hidden_widths or _HIDDEN_WIDTHS
        return self.model_copy(update={"embedding_widths": widths, "hidden_widths": hidden})

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        width = network_input.numeric_columns + sum(self.embedding_widths)
        widths = self.hidden_widths if self.batch_norm else ()
        return (
            NetworkCost(2 * sum(widths), 0, sum(widths), layers=2 * len(widths))
            + embedding_cost(self.embedding_widths, network_input)
            + dense_cost([width, *self.hidden_widths, outputs])
        )

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        yield from (f"embeddings.{place}" for place in range(len(self.embedding_widths)))
        behind_each = 2 + self.batch_norm + (self.dropout > 0)
        yield from (f"layers.{place * behind_each}" for place in range(len(self.hidden_widths) + 1))

    @property
    def has_batch_norm(self) -> bool:
        """See `NetworkKind`."""
        return self.batch_norm
