"""Residual networks for images: He et al., "Deep Residual Learning for Image Recognition", 2016."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from common.networks.kinds.base import Data, NetworkInput, NetworkKind, Specification
from common.networks.kinds.costs import NOTHING, NetworkCost, dense_cost, kept

Channels = Annotated[int, Field(ge=1, le=8_192)]

_DEPTH = 18
_STAGE_WIDTH = 64
_BLOCKS_BY_DEPTH = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_LARGEST_SMALL_SIDE = 64
"""Longest shorter side, in pixels, of an image that gets the small stem by default."""


class ResNetStage(Specification):
    """Residual blocks that work on maps of one size."""

    blocks: int = Field(ge=1, le=64)
    channels: Channels
    inner_channels: tuple[Channels, ...] = ()

    @field_validator("inner_channels")
    @classmethod
    def _has_one_per_block(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        blocks = info.data.get("blocks", len(value))
        if value and len(value) != blocks:
            raise ValueError(
                f"has {len(value)} widths for {blocks} blocks; give one for each, or none for the "
                "default"
            )
        return value

    @property
    def completed(self) -> "ResNetStage":
        """The stage with the inner width of each block."""
        inner = self.inner_channels or (self.channels,) * self.blocks
        return self.model_copy(update={"inner_channels": inner})


class ResNetNetwork(NetworkKind):
    """A residual network; see `aimass.type.v1.ResNetNetwork`."""

    data: ClassVar[Data] = "images"

    depth: Literal[18, 34] | None = None
    width: int | None = Field(None, ge=1, le=1_024)
    stages: tuple[ResNetStage, ...] = Field((), max_length=8)
    stem: Literal["small", "large"] | None = None
    dropout: float = Field(0.0, ge=0, lt=1)

    @field_validator("stages")
    @classmethod
    def _says_it_once(
        cls, value: tuple[ResNetStage, ...], info: ValidationInfo
    ) -> tuple[ResNetStage, ...]:
        given = [name for name in ("depth", "width") if info.data.get(name) is not None]
        if value and given:
            raise ValueError(
                f"say all that {' and '.join(given)} would; leave out either the one or the other"
            )
        return value

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """See `NetworkKind`."""
        side = min(network_input.image_shape[1:])
        stages = self.stages or self._usual_stages
        return self.model_copy(
            update={
                "depth": None,
                "width": None,
                "stages": tuple(stage.completed for stage in stages),
                "stem": self.stem or ("small" if side <= _LARGEST_SMALL_SIDE else "large"),
            }
        )

    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """See `NetworkKind`."""
        inputs, *sides = network_input.image_shape
        channels = self.stages[0].channels
        total = NOTHING
        if self.stem == "large":
            sides = _halved(sides)
            total += _normed_convolution_cost(inputs, channels, 7, prod(sides))
            total += kept(channels * prod(sides))
            sides = _halved(sides)
            # The maximum and, in eight bytes, where it was.
            total += kept(3 * channels * prod(sides))
        else:
            total += _normed_convolution_cost(inputs, channels, 3, prod(sides))
            total += kept(channels * prod(sides))
        for index, stage in enumerate(self.stages):
            if index > 0:
                sides = _halved(sides)
                total += _normed_convolution_cost(channels, stage.channels, 1, prod(sides))
            total += _blocks_cost(stage, channels, prod(sides))
            channels = stage.channels
        return total + dense_cost([channels, outputs])

    def layer_names(self) -> Iterator[str]:
        """See `NetworkKind`."""
        yield "stem.conv"
        channels = self.stages[0].channels
        for place, stage in enumerate(self.stages):
            for number in range(stage.blocks):
                block = f"stages.{place}.{number}"
                yield f"{block}.conv1"
                yield f"{block}.conv2"
                if number == 0 and (place > 0 or channels != stage.channels):
                    yield f"{block}.shortcut.conv"
            channels = stage.channels
        yield "head"

    @property
    def has_batch_norm(self) -> bool:
        """See `NetworkKind`."""
        return True

    @property
    def _usual_stages(self) -> tuple[ResNetStage, ...]:
        blocks = _BLOCKS_BY_DEPTH[self.depth or _DEPTH]
        width = self.width or _STAGE_WIDTH
        return tuple(
            ResNetStage(blocks=count, channels=width * 2**index)
            for index, count in enumerate(blocks)
        )


def _blocks_cost(stage: ResNetStage, channels: int, pixels: int) -> NetworkCost:
    total = NOTHING
    for inner in stage.inner_channels:
        total += _normed_convolution_cost(channels, inner, 3, pixels)
        total += _normed_convolution_cost(inner, stage.channels, 3, pixels)
        total += kept((inner + stage.channels) * pixels)
        channels = stage.channels
    return total


def _normed_convolution_cost(inputs: int, outputs: int, kernel: int, pixels: int) -> NetworkCost:
    """Returns the cost of a convolution without bias and of the batch norm after it."""
    weights = inputs * outputs * kernel**2
    return NetworkCost(weights + 2 * outputs, weights * pixels, outputs * pixels, layers=3)


def _halved(sides: Sequence[int]) -> list[int]:
    """Returns what a stride of 2 leaves of a feature map's sides."""
    return [-(-side // 2) for side in sides]
