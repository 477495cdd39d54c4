"""What networks of texts have in common: from one vector of a text to the outputs."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, field_validator

from common.networks.kinds.base import (
    ActivationName,
    NetworkInput,
    Specification,
)
from common.networks.kinds.columns import (
    EmbeddingWidth,
    completed_embedding_widths,
    embedding_cost,
)
from common.networks.kinds.costs import NetworkCost, dense_cost

_HEAD_WIDTHS_WITH_TABLE = (64,)


class TextHead(Specification):
    """Linear layers of what a text has become, beside which the columns of a table may stand."""

    head_widths: tuple[Annotated[int, Field(ge=0, le=65_536)], ...] = Field((), max_length=64)
    activation: ActivationName = "gelu"
    dropout: float = Field(0.1, ge=0, lt=1)
    embedding_widths: tuple[EmbeddingWidth, ...] = ()

    @field_validator("head_widths")
    @classmethod
    def _zero_stands_alone(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if 0 in value and len(value) > 1:
            raise ValueError("widths are at least 1; a single 0 means no hidden layer")
        return value

    @property
    def hidden_head_widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers; none where `head_widths` is 0."""
        return tuple(width for width in self.head_widths if width)

    def completed_head(self, network_input: NetworkInput, field: str) -> dict[str, object]:
        """Returns what of these settings depends on the data; see `NetworkKind.completed`."""
        widths = completed_embedding_widths(self.embedding_widths, network_input, field)
        has_table = network_input.numeric_columns > 0 or len(widths) > 0
        usual = _HEAD_WIDTHS_WITH_TABLE if has_table else (0,)
        return {"head_widths": self.head_widths or usual, "embedding_widths": widths}

    def head_cost(self, width: int, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """Returns the cost of the head.

        Args:
            width: Of what a text has become.
            network_input: The data.
            outputs: Number of outputs.
        """
        columns = network_input.numeric_columns + sum(self.embedding_widths)
        return embedding_cost(self.embedding_widths, network_input) + dense_cost(
            [width + columns, *self.hidden_head_widths, outputs]
        )

    def head_layer_names(self) -> Iterator[str]:
        """Yields the names of the head's layers."""
        yield from (f"head.embeddings.{place}" for place in range(len(self.embedding_widths)))
        behind_each = 2 + (self.dropout > 0)
        layers = len(self.hidden_head_widths) + 1
        yield from (f"head.layers.{place * behind_each}" for place in range(layers))
