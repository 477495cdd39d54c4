"""Transformers for tables as torch modules; see `common.networks.kinds.ft_transformer`."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.ft_transformer import FtTransformerNetwork
from common.networks.torch_kinds.base import TorchKind, activation
from common.networks.torch_kinds.columns import split_inputs
from common.networks.torch_kinds.transformer import EncoderBlocks, resized_transformer


class FtTransformerModel(nn.Module):
    """Columns as tokens, blocks, and a linear layer of what the first token has become."""

    def __init__(
        self, settings: FtTransformerNetwork, network_input: NetworkInput, outputs: int
    ) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        self.tokens = ColumnTokens(network_input, settings.width)
        self.blocks = EncoderBlocks(settings)
        self.norm = nn.LayerNorm(settings.width)
        self.activation = activation(settings.activation)
        self.head = nn.Linear(settings.width, outputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        summary = self.blocks(self.tokens(*inputs))[:, 0]
        output: Tensor = self.head(self.activation(self.norm(summary)))
        return output


class ColumnTokens(nn.Module):
    """A token for each column, and before these one that is the same in all rows.

    A number's token is the number times a vector of its column, a category's a vector of its own;
    to each a vector of its column is added.
    """

    offsets: Tensor

    def __init__(self, network_input: NetworkInput, width: int) -> None:
        """Makes the vectors.

        Args:
            network_input: The columns.
            width: Of a token.
        """
        super().__init__()
        numbers, sizes = network_input.numeric_columns, network_input.category_sizes
        self._has_numeric = numbers > 0
        starts = [0, *itertools.accumulate(sizes)]
        self.register_buffer("offsets", torch.tensor(starts[:-1]), persistent=False)
        self.first = nn.Parameter(_drawn(1, width))
        self.bias = nn.Parameter(_drawn(numbers + len(sizes), width))
        self.numeric = nn.Parameter(_drawn(numbers, width)) if numbers else None
        self.categories = nn.Parameter(_drawn(starts[-1], width)) if sizes else None
        if self.categories is not None:
            # Code 0, unknown or missing, may never be seen in training: then it says nothing.
            with torch.no_grad():
                self.categories[self.offsets] = 0.0

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, 1 + columns, width] of a table's inputs."""
        numeric, codes = split_inputs(inputs, self._has_numeric)
        parts = []
        if self.numeric is not None:
            parts.append(numeric.unsqueeze(2) * self.numeric)
        if self.categories is not None:
            parts.append(functional.embedding(codes + self.offsets, self.categories))
        columns = (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)) + self.bias
        first = self.first.expand(columns.shape[0], 1, -1)
        return torch.cat([first, columns], dim=1)


def _drawn(count: int, width: int) -> Tensor:
    """Returns vectors with numbers as of linear layers whose input is as wide as a token."""
    return nn.init.uniform_(torch.empty(count, width), -(width**-0.5), width**-0.5)


KIND = TorchKind(FtTransformerModel, resized_transformer)
