"""Residual networks for tables.

Source: Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data", 2021 (its `ResNet`).
"""

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

_WIDTH = 128
_INNER_WIDTHS = (256, 256)


class ResidualMlpNetwork(NetworkKind):
    """A residual network of linear layers; see `aimass.type.v1.ResidualMlpNetwork`."""

    width: Width = _WIDTH
    inner_widths: tuple[Width, ...] = Field(_INNER_WIDTHS, max_length=64)
    activation: ActivationName = "relu"
    dropout: float = Field(0.1, ge=0, lt=1)
    embedding_widths: tuple[EmbeddingWidth, ...] = ()

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        widths = completed_embedding_widths(self.embedding_widths, network_input, field)
        inner = self.inner_widths or _INNER_WIDTHS
        return self.model_copy(update={"embedding_widths": widths, "inner_widths": inner})

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        columns = network_input.numeric_columns + sum(self.embedding_widths)
        total = embedding_cost(self.embedding_widths, network_input)
        total += dense_cost([columns, self.width])
        for inner in self.inner_widths:
            total += _norm_cost(self.width) + dense_cost([self.width, inner, self.width])
        return total + _norm_cost(self.width) + dense_cost([self.width, outputs])

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        yield from (f"embeddings.{place}" for place in range(len(self.embedding_widths)))
        yield "first"
        for place in range(len(self.inner_widths)):
            yield from (f"blocks.{place}.linear1", f"blocks.{place}.linear2")
        yield "head"

    @property
    def has_batch_norm(self) -> bool:
        """See `NetworkKind`."""
        return True


def _norm_cost(width: int) -> NetworkCost:
    return NetworkCost(2 * width, 0, width)
