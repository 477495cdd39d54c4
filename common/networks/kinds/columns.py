"""Embeddings of a table's categorical columns."""

from typing import Annotated

from pydantic import Field

from common.errors import InvalidFieldError
from common.networks.kinds.base import NetworkInput
from common.networks.kinds.costs import NetworkCost

EmbeddingWidth = Annotated[int, Field(ge=1, le=4_096)]

_MOST_EMBEDDING_WIDTH = 50


def completed_embedding_widths(
    widths: tuple[int, ...], network_input: NetworkInput, field: str
) -> tuple[int, ...]:
    """Returns the width of each categorical column's embedding, by default from its codes.

    Args:
        widths: As asked for; empty for the default.
        network_input: What the data gives.
        field: Path of the settings with `embedding_widths` in the request, for errors.

    Raises:
        InvalidFieldError: There are more or fewer widths than columns.
    """
    sizes = network_input.category_sizes
    if not widths:
        return tuple(max(1, min(_MOST_EMBEDDING_WIDTH, (size + 1) // 2)) for size in sizes)
    if len(widths) != len(sizes):
        raise InvalidFieldError(
            f"{field}.embedding_widths",
            f"There are {len(sizes)} categorical columns but {len(widths)} widths; give one for "
            "each, or none for the default.",
        )
    return widths


def embedding_cost(widths: tuple[int, ...], network_input: NetworkInput) -> NetworkCost:
    """Returns the cost of one embedding for each categorical column."""
    sizes = network_input.category_sizes
    embedded = sum(size * width for size, width in zip(sizes, widths, strict=True))
    return NetworkCost(embedded, 0, 2 * sum(widths))
