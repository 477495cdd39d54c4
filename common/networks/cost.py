"""What a network costs, from its specification alone. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from common.networks.specification import (
    CnnNetwork,
    MlpNetwork,
    NetworkSpecification,
    ResNetNetwork,
    ResNetStage,
)


@dataclass(frozen=True)
class NetworkCost:
    """Cost of a network.

    Attributes:
        parameters: Trainable numbers.
        multiplications: Multiply-adds of one row's forward pass.
        activations: Numbers that one row's forward pass keeps for the backward pass.
    """

    parameters: int
    multiplications: int
    activations: int

    def __add__(self, other: "NetworkCost") -> "NetworkCost":
        return NetworkCost(
            self.parameters + other.parameters,
            self.multiplications + other.multiplications,
            self.activations + other.activations,
        )


NOTHING = NetworkCost(0, 0, 0)


def network_cost(specification: NetworkSpecification) -> NetworkCost:
    """Returns the cost of a completed specification."""
    if specification.mlp is not None:
        return _mlp_cost(specification.mlp, specification)
    if specification.cnn is not None:
        return _cnn_cost(specification.cnn, specification)
    if specification.resnet is not None:
        return _resnet_cost(specification.resnet, specification)
    columns = specification.input.numeric_columns
    sizes = sum(specification.input.category_sizes)
    bias = specification.linear is not None and specification.linear.bias
    outputs = specification.outputs
    return NetworkCost(
        parameters=(columns + sizes + bias) * outputs,
        multiplications=columns * outputs,
        activations=columns + outputs,
    )


def _mlp_cost(mlp: MlpNetwork, specification: NetworkSpecification) -> NetworkCost:
    sizes, widths = specification.input.category_sizes, mlp.embedding_widths
    embedded = sum(size * width for size, width in zip(sizes, widths, strict=True))
    width = specification.input.numeric_columns + sum(widths)
    layers = [width, *mlp.hidden_widths, specification.outputs]
    norms = 2 * sum(mlp.hidden_widths) if mlp.batch_norm else 0
    return NetworkCost(embedded + norms, 0, 2 * sum(widths)) + _dense_cost(layers)


def _cnn_cost(cnn: CnnNetwork, specification: NetworkSpecification) -> NetworkCost:
    channels, height, width = specification.input.image_shape
    total = NOTHING
    for block in cnn.blocks:
        weights = channels * block.channels * block.kernel_size**2
        extra = 2 * block.channels if cnn.batch_norm else block.channels
        total += NetworkCost(
            parameters=weights + extra,
            multiplications=weights * height * width,
            activations=3 * block.channels * height * width,
        )
        channels, height, width = block.channels, height // block.pool, width // block.pool
    grid = cnn.pool_grid or 1
    heads = [head for head in cnn.head_widths if head]
    return total + _dense_cost([channels * grid * grid, *heads, specification.outputs])


def _resnet_cost(resnet: ResNetNetwork, specification: NetworkSpecification) -> NetworkCost:
    inputs, *sides = specification.input.image_shape
    channels = resnet.stages[0].channels
    total = NOTHING
    if resnet.stem == "large":
        sides = _halved(sides)
        total += _normed_convolution_cost(inputs, channels, 7, prod(sides))
        total += _kept(channels * prod(sides))
        sides = _halved(sides)
        # The maximum and, in eight bytes, where it was.
        total += _kept(3 * channels * prod(sides))
    else:
        total += _normed_convolution_cost(inputs, channels, 3, prod(sides))
        total += _kept(channels * prod(sides))
    for index, stage in enumerate(resnet.stages):
        if index > 0:
            sides = _halved(sides)
            total += _normed_convolution_cost(channels, stage.channels, 1, prod(sides))
        total += _blocks_cost(stage, channels, prod(sides))
        channels = stage.channels
    return total + _dense_cost([channels, specification.outputs])


def _blocks_cost(stage: ResNetStage, channels: int, pixels: int) -> NetworkCost:
    total = NOTHING
    for inner in stage.inner_channels:
        total += _normed_convolution_cost(channels, inner, 3, pixels)
        total += _normed_convolution_cost(inner, stage.channels, 3, pixels)
        total += _kept((inner + stage.channels) * pixels)
        channels = stage.channels
    return total


def _normed_convolution_cost(inputs: int, outputs: int, kernel: int, pixels: int) -> NetworkCost:
    """Returns the cost of a convolution without bias and of the batch norm after it."""
    weights = inputs * outputs * kernel**2
    return NetworkCost(weights + 2 * outputs, weights * pixels, outputs * pixels)


def _kept(numbers: int) -> NetworkCost:
    """Returns the cost of numbers that are only kept for the backward pass."""
    return NetworkCost(0, 0, numbers)


def _halved(sides: Sequence[int]) -> list[int]:
    """Returns what a stride of 2 leaves of a feature map's sides."""
    return [-(-side // 2) for side in sides]


def _dense_cost(layers: Sequence[int]) -> NetworkCost:
    total = NOTHING
    for inputs, outputs in pairwise(layers):
        total += NetworkCost((inputs + 1) * outputs, inputs * outputs, inputs + 2 * outputs)
    return total
