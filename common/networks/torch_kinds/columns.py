"""A table's columns as a network takes them in."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def split_inputs(inputs: Sequence[Tensor], has_numeric: bool) -> tuple[Tensor, Tensor]:
    """Returns numeric columns and codes; one that the network lacks has no columns."""
    if has_numeric:
        numeric = inputs[0]
        return numeric, inputs[1] if len(inputs) > 1 else numeric[:, :0]
    codes = inputs[0]
    return codes[:, :0].float(), codes


def category_embeddings(sizes: Iterable[int], widths: Iterable[int]) -> nn.ModuleList:
    """Returns an embedding for each categorical column, with fresh weights."""
    pairs = zip(sizes, widths, strict=True)
    embeddings = nn.ModuleList(nn.Embedding(size, width) for size, width in pairs)
    for table in embeddings.children():
        # Code 0, unknown or missing, may never be seen in training: then it says nothing.
        nn.init.zeros_(table.weight[0])  # type: ignore[index]
    return embeddings


def joined_columns(
    inputs: Sequence[Tensor], has_numeric: bool, embeddings: nn.ModuleList
) -> Tensor:
    """Returns numbers and embedded categories side by side, shape (rows, width)."""
    numeric, codes = split_inputs(inputs, has_numeric)
    parts = [numeric] if has_numeric else []
    parts += [table(codes[:, index]) for index, table in enumerate(embeddings)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
