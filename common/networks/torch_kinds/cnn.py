"""Convolutional networks as torch modules."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from common.networks.kinds.base import ActivationName, NetworkInput
from common.networks.kinds.cnn import CnnNetwork
from common.networks.torch_kinds.base import State, TorchKind, activation, widths

_MONOTONE: frozenset[ActivationName] = frozenset({"relu", "tanh"})


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
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
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


def _convolution_block(cnn: CnnNetwork, inputs: int, channels: int, kernel: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, channels, kernel, padding=kernel // 2, bias=not cnn.batch_norm)
    if not cnn.batch_norm:
        return convolution
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


def _pool_and_activate(name: ActivationName, factor: int) -> nn.Module:
    if factor == 1:
        return activation(name)
    layers = [activation(name), nn.MaxPool2d(factor)]
    if name in _MONOTONE:
        layers.reverse()  # the maximum commutes with it, and there is less left to activate
    return nn.Sequential(*layers)


def _head(cnn: CnnNetwork, inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = [inputs, *cnn.hidden_head_widths]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation(cnn.activation)]
    if cnn.dropout > 0:
        layers.append(nn.Dropout(cnn.dropout))
    layers.append(nn.Linear(widths[-1], outputs))
    return nn.Sequential(*layers)


def resized_cnn(cnn: CnnNetwork, state: State) -> tuple[CnnNetwork, State]:
    """See `TorchKind.resized`."""
    channels = widths(state, "blocks.", 4)
    *heads, _ = widths(state, "head.", 2)
    blocks = tuple(
        block.model_copy(update={"channels": width})
        for block, width in zip(cnn.blocks, channels, strict=True)
    )
    return cnn.model_copy(update={"blocks": blocks, "head_widths": tuple(heads) or (0,)}), state


KIND = TorchKind(CnnModel, resized_cnn)
