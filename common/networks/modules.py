"""From a completed specification to a torch module."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from aimass.type.v1 import network_pb2
from common.networks.resnet import ResNetModel
from common.networks.specification import (
    ActivationName,
    CnnNetwork,
    LinearNetwork,
    MlpNetwork,
    NetworkInput,
    NetworkSpecification,
    from_proto,
)

_ACTIVATIONS: dict[ActivationName, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
_MONOTONE: frozenset[ActivationName] = frozenset({"relu", "tanh"})


def build_network(network: network_pb2.NetworkSpec | NetworkSpecification) -> nn.Module:
    """Builds the module that a completed specification stands for.

    Its `forward` takes the tensors that `NetworkInput.names` lists, in that order: `numeric`
    float [rows, columns], `categories` int64 codes [rows, columns], `image` float [rows,
    channels, height, width], all standardised; it returns [rows, outputs]: logits, or values.

    Args:
        network: A specification with every width resolved.

    Returns:
        The module with fresh weights, drawn from torch's global random generator. The same
        specification gives the same parameter names and shapes, always.
    """
    specification = network if isinstance(network, NetworkSpecification) else from_proto(network)
    if specification.linear is not None:
        return LinearModel(specification.linear, specification.input, specification.outputs)
    if specification.mlp is not None:
        return MlpModel(specification.mlp, specification.input, specification.outputs)
    if specification.cnn is not None:
        return CnnModel(specification.cnn, specification.input, specification.outputs)
    assert specification.resnet is not None
    return ResNetModel(specification.resnet, specification.input, specification.outputs)


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
        """Returns [rows, outputs]; see `build_network`."""
        numeric, codes = _split_inputs(inputs, self._has_numeric)
        output = functional.linear(numeric, self.weight, self.bias)
        for index, table in enumerate(self.categories):
            output = output + table(codes[:, index])
        return output


class MlpModel(nn.Module):
    """A multi-layer perceptron over numeric columns and embedded categories."""

    def __init__(self, mlp: MlpNetwork, network_input: NetworkInput, outputs: int) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        self._has_numeric = network_input.numeric_columns > 0
        sizes = zip(network_input.category_sizes, mlp.embedding_widths, strict=True)
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size, width in sizes)
        for table in self.embeddings.children():
            # Code 0, unknown or missing, may never be seen in training: then it says nothing.
            nn.init.zeros_(table.weight[0])  # type: ignore[index]
        width = network_input.numeric_columns + sum(mlp.embedding_widths)
        layers: list[nn.Module] = []
        for inputs, units in pairwise([width, *mlp.hidden_widths]):
            layers.append(nn.Linear(inputs, units))
            if mlp.batch_norm:
                layers.append(nn.BatchNorm1d(units))
            layers.append(_activation(mlp.activation))
            if mlp.dropout > 0:
                layers.append(nn.Dropout(mlp.dropout))
        layers.append(nn.Linear(mlp.hidden_widths[-1], outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `build_network`."""
        numeric, codes = _split_inputs(inputs, self._has_numeric)
        parts = [numeric] if self._has_numeric else []
        parts += [table(codes[:, index]) for index, table in enumerate(self.embeddings)]
        output: Tensor = self.layers(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        return output


class CnnModel(nn.Module):
    """Convolution blocks, average pooling to a grid, a head of linear layers."""

    def __init__(self, cnn: CnnNetwork, network_input: NetworkInput, outputs: int) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        channels, height, width = network_input.image_shape
        blocks: list[nn.Module] = []
        for block in cnn.blocks:
            blocks.append(_convolution_block(cnn, channels, block.channels, block.kernel_size))
            blocks.append(_pool_and_activate(cnn.activation, block.pool))
            channels, height, width = block.channels, height // block.pool, width // block.pool
        self.blocks = nn.Sequential(*blocks)
        grid = cnn.pool_grid or 1
        self.pool = GridPool(height, width, grid)
        self.head = _head(cnn, channels * grid * grid, outputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `build_network`."""
        (image,) = inputs
        features = self.pool(self.blocks(image))
        output: Tensor = self.head(features.flatten(1))
        return output


class GridPool(nn.Module):
    """Averages a feature map to a square grid, with torch's adaptive bins.

    Written as a matrix product, because the bins of `AdaptiveAvgPool2d` have no ONNX form where the
    sides do not divide. It runs over whole pixels, so that nothing is copied channels last.
    """

    bins: Tensor

    def __init__(self, height: int, width: int, grid: int) -> None:
        """Makes the averaging matrix.

        Args:
            height: Height of the feature map.
            width: Width of the feature map.
            grid: Side of the grid, at most as large as either.
        """
        super().__init__()
        self._is_identity = height == width == grid
        self._grid = grid
        bins = torch.kron(_averaging_matrix(height, grid), _averaging_matrix(width, grid))
        self.register_buffer("bins", bins, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Takes [rows, channels, height, width], returns [rows, channels, grid, grid]."""
        if self._is_identity:
            return features
        pooled: Tensor = self.bins @ features.flatten(2).transpose(1, 2)
        return torch.unflatten(pooled.transpose(1, 2), 2, (self._grid, self._grid))


def _averaging_matrix(side: int, grid: int) -> Tensor:
    matrix = torch.zeros(grid, side)
    for index in range(grid):
        start, end = index * side // grid, -(-(index + 1) * side // grid)
        matrix[index, start:end] = 1 / (end - start)
    return matrix


def _split_inputs(inputs: Sequence[Tensor], has_numeric: bool) -> tuple[Tensor, Tensor]:
    """Returns numeric columns and codes; one that the network lacks has no columns."""
    if has_numeric:
        numeric = inputs[0]
        return numeric, inputs[1] if len(inputs) > 1 else numeric[:, :0]
    codes = inputs[0]
    return codes[:, :0].float(), codes


def _activation(name: ActivationName) -> nn.Module:
    return nn.ReLU(inplace=True) if name == "relu" else _ACTIVATIONS[name]()


def _convolution_block(cnn: CnnNetwork, inputs: int, channels: int, kernel: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, channels, kernel, padding=kernel // 2, bias=not cnn.batch_norm)
    if not cnn.batch_norm:
        return convolution
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


def _pool_and_activate(activation: ActivationName, factor: int) -> nn.Module:
    if factor == 1:
        return _activation(activation)
    layers = [_activation(activation), nn.MaxPool2d(factor)]
    if activation in _MONOTONE:
        layers.reverse()  # the maximum commutes with it, and there is less left to activate
    return nn.Sequential(*layers)


def _head(cnn: CnnNetwork, inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = [inputs, *(width for width in cnn.head_widths if width)]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), _activation(cnn.activation)]
    if cnn.dropout > 0:
        layers.append(nn.Dropout(cnn.dropout))
    layers.append(nn.Linear(widths[-1], outputs))
    return nn.Sequential(*layers)
