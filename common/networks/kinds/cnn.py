"""Convolution blocks, average pooling to a grid, a head of linear layers."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator

from common.errors import InvalidFieldError
from common.networks.kinds.base import (
    ActivationName,
    Data,
    NetworkInput,
    NetworkKind,
    Specification,
)
from common.networks.kinds.costs import NOTHING, NetworkCost, dense_cost


class ConvBlock(Specification):
    """Convolution, batch norm, activation and pooling."""

    channels: int = Field(ge=1, le=4_096)
    kernel_size: int = Field(3, ge=1, le=15)
    pool: int = Field(2, ge=1, le=8)

    @field_validator("kernel_size")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"must be odd; use {value - 1} or {value + 1} instead of {value}")
        return value


_BLOCKS = (ConvBlock(channels=32), ConvBlock(channels=64))
_HEAD_WIDTHS = (128,)
_POOL_GRID = 4


class CnnNetwork(NetworkKind):
    """A convolutional network; see `aimass.type.v1.CnnNetwork`."""

    data: ClassVar[Data] = "images"

    blocks: tuple[ConvBlock, ...] = Field(_BLOCKS, max_length=32)
    head_widths: tuple[Annotated[int, Field(ge=0, le=65_536)], ...] = Field(
        _HEAD_WIDTHS, max_length=64
    )
    activation: ActivationName = "relu"
    dropout: float = Field(0.0, ge=0, lt=1)
    batch_norm: bool = True
    pool_grid: int | None = Field(None, ge=1, le=16)

    @field_validator("head_widths")
    @classmethod
    def _zero_stands_alone(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if 0 in value and len(value) > 1:
            raise ValueError("widths are at least 1; a single 0 means no hidden layer")
        return value

    @property
    def hidden_head_widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers of the head; none where `head_widths` is 0."""
        return tuple(width for width in self.head_widths if width)

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        blocks = self.blocks or _BLOCKS
        side = _feature_side(blocks, network_input, field)
        grid = self.pool_grid
        if grid is None:
            grid = min(_POOL_GRID, side)
        if grid > side:
            raise InvalidFieldError(
                f"{field}.pool_grid",
                f"The feature map is only {side} wide after the blocks; use at most {side}.",
            )
        heads = self.head_widths or _HEAD_WIDTHS
        return self.model_copy(update={"blocks": blocks, "pool_grid": grid, "head_widths": heads})

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        channels, height, width = network_input.image_shape
        total = NOTHING
        for block in self.blocks:
            weights = channels * block.channels * block.kernel_size**2
            extra = 2 * block.channels if self.batch_norm else block.channels
            total += NetworkCost(
                parameters=weights + extra,
                multiplications=weights * height * width,
                activations=3 * block.channels * height * width,
                layers=4 if self.batch_norm else 3,
            )
            channels, height, width = block.channels, height // block.pool, width // block.pool
        grid = self.pool_grid or 1
        return total + dense_cost([channels * grid * grid, *self.hidden_head_widths, outputs])

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        within = ".0" if self.batch_norm else ""
        yield from (f"blocks.{2 * place}{within}" for place in range(len(self.blocks)))
        hidden = len(self.hidden_head_widths)
        yield from (f"head.{2 * place}" for place in range(hidden))
        yield f"head.{2 * hidden + (self.dropout > 0)}"

    @property
    def has_batch_norm(self) -> bool:
        """See `NetworkKind`."""
        return self.batch_norm


def _feature_side(blocks: tuple[ConvBlock, ...], network_input: NetworkInput, field: str) -> int:
    """Returns the shorter side of the last feature map."""
    side = min(network_input.image_shape[1:])
    for index, block in enumerate(blocks):
        if side < block.pool:
            raise InvalidFieldError(
                f"{field}.blocks[{index}].pool",
                f"The feature map is only {side} wide before this pooling by {block.pool}; pool "
                "less, or leave blocks out.",
            )
        side //= block.pool
    return side
