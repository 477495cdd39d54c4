"""One linear layer as a torch module."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.linear import LinearNetwork
from common.networks.torch_kinds.base import TorchKind
from common.networks.torch_kinds.columns import split_inputs


class LinearModel(nn.Module):
    """One linear layer; a row of `categories` selects its one-hot encoded weights."""

    def __init__(self, linear: LinearNetwork, network_input: NetworkInput, outputs: int) -> None:
        """Makes the layer with weights of zero: the problem is convex."""
        super().__init__()
        columns = network_input.numeric_columns
        self._has_numeric = columns > 0
        self.weight = nn.Parameter(torch.zeros(outputs, columns))
        self.bias = nn.Parameter(torch.zeros(outputs)) if linear.bias else None
        self.categories = nn.ModuleList(
            nn.Embedding(size, outputs) for size in network_input.category_sizes
        )
        for table in self.categories.parameters():
            nn.init.zeros_(table)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        numeric, codes = split_inputs(inputs, self._has_numeric)
        output = functional.linear(numeric, self.weight, self.bias)
        for index, table in enumerate(self.categories):
            output = output + table(codes[:, index])
        return output


KIND = TorchKind(LinearModel)
