"""Networks by their layers: ranges, defaults and what depends on the data. Imports no torch."""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aimass.type.v1 import network_pb2
from common.errors import InvalidFieldError
from common.protobuf import from_plain, to_plain

ActivationName = Literal["relu", "gelu", "silu", "tanh"]
Width = Annotated[int, Field(ge=1, le=65_536)]
EmbeddingWidth = Annotated[int, Field(ge=1, le=4_096)]
Channels = Annotated[int, Field(ge=1, le=8_192)]

TABLE_KINDS = ("linear", "mlp")
IMAGE_KINDS = ("cnn", "resnet")
KINDS = TABLE_KINDS + IMAGE_KINDS

DEFAULT_HIDDEN_WIDTHS = (128, 64)
DEFAULT_HEAD_WIDTHS = (128,)
DEFAULT_POOL_GRID = 4
MAX_EMBEDDING_WIDTH = 50
DEFAULT_DEPTH = 18
DEFAULT_STAGE_WIDTH = 64
BLOCKS_BY_DEPTH = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
LARGEST_SMALL_SIDE = 64
"""Longest shorter side, in pixels, of an image that gets the small stem by default."""


class Specification(BaseModel):
    """Base: unknown fields are refused, nothing changes after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkInput(Specification):
    """What a network takes in; see `aimass.type.v1.NetworkInput`."""

    numeric_columns: int = Field(0, ge=0)
    category_sizes: tuple[int, ...] = ()
    image_shape: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the network's input tensors, in the order in which `forward` takes them."""
        present = {
            "numeric": self.numeric_columns > 0,
            "categories": len(self.category_sizes) > 0,
            "image": len(self.image_shape) > 0,
        }
        return tuple(name for name, is_present in present.items() if is_present)


class LinearNetwork(Specification):
    """One linear layer."""

    bias: bool = True


class MlpNetwork(Specification):
    """A multi-layer perceptron with embeddings for categories."""

    hidden_widths: tuple[Width, ...] = Field(DEFAULT_HIDDEN_WIDTHS, max_length=64)
    activation: ActivationName = "relu"
    dropout: float = Field(0.0, ge=0, lt=1)
    embedding_widths: tuple[EmbeddingWidth, ...] = ()
    batch_norm: bool = False


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


DEFAULT_BLOCKS = (ConvBlock(channels=32), ConvBlock(channels=64))


class CnnNetwork(Specification):
    """Convolution blocks, average pooling to a grid, a head of linear layers."""

    blocks: tuple[ConvBlock, ...] = Field(DEFAULT_BLOCKS, max_length=32)
    head_widths: tuple[Annotated[int, Field(ge=0, le=65_536)], ...] = Field(
        DEFAULT_HEAD_WIDTHS, max_length=64
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


class ResNetNetwork(Specification):
    """A stem, stages of residual blocks, global average pooling, a linear layer."""

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


class NetworkSpecification(Specification):
    """A network of one kind; `input` and `outputs` are filled in by `complete`."""

    linear: LinearNetwork | None = None
    mlp: MlpNetwork | None = None
    cnn: CnnNetwork | None = None
    resnet: ResNetNetwork | None = None
    input: NetworkInput = NetworkInput()
    outputs: int = 0

    @model_validator(mode="after")
    def _has_one_kind(self) -> "NetworkSpecification":
        if len(self._given_kinds) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS[:-1])} and {KINDS[-1]}")
        return self

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self._given_kinds[0]

    @property
    def _given_kinds(self) -> list[str]:
        return [kind for kind in KINDS if getattr(self, kind) is not None]


def from_proto(network: network_pb2.NetworkSpec) -> NetworkSpecification:
    """Reads a network specification. Raises pydantic's `ValidationError` where it is wrong."""
    return NetworkSpecification.model_validate(to_plain(network))


def to_proto(specification: NetworkSpecification) -> network_pb2.NetworkSpec:
    """Returns the message that `from_proto` reads."""
    return from_plain(specification.model_dump(exclude_none=True), network_pb2.NetworkSpec)


def complete(
    specification: NetworkSpecification, network_input: NetworkInput, outputs: int, field: str
) -> NetworkSpecification:
    """Fills in everything that depends on the data.

    Args:
        specification: What the caller asked for.
        network_input: What the data gives.
        outputs: Number of outputs.
        field: Path of the specification in the request, for errors.

    Returns:
        The specification with every width resolved.

    Raises:
        InvalidFieldError: Network and data do not fit.
    """
    is_image = len(network_input.image_shape) > 0
    data, kinds = ("images", IMAGE_KINDS) if is_image else ("a table", TABLE_KINDS)
    if specification.kind not in kinds:
        raise InvalidFieldError(
            field,
            f"The network {specification.kind} does not fit {data}; use {' or '.join(kinds)}.",
        )
    changes: dict[str, object] = {"input": network_input, "outputs": outputs}
    if specification.mlp is not None:
        changes["mlp"] = _complete_mlp(specification.mlp, network_input, f"{field}.mlp")
    if specification.cnn is not None:
        changes["cnn"] = _complete_cnn(specification.cnn, network_input, f"{field}.cnn")
    if specification.resnet is not None:
        changes["resnet"] = _complete_resnet(specification.resnet, network_input)
    return specification.model_copy(update=changes)


def _complete_mlp(mlp: MlpNetwork, network_input: NetworkInput, field: str) -> MlpNetwork:
    sizes = network_input.category_sizes
    widths = mlp.embedding_widths
    if not widths:
        widths = tuple(max(1, min(MAX_EMBEDDING_WIDTH, (size + 1) // 2)) for size in sizes)
    if len(widths) != len(sizes):
        raise InvalidFieldError(
            f"{field}.embedding_widths",
            f"There are {len(sizes)} categorical columns but {len(widths)} widths; give one for "
            "each, or none for the default.",
        )
    hidden = mlp.hidden_widths or DEFAULT_HIDDEN_WIDTHS
    return mlp.model_copy(update={"embedding_widths": widths, "hidden_widths": hidden})


def _complete_cnn(cnn: CnnNetwork, network_input: NetworkInput, field: str) -> CnnNetwork:
    blocks = cnn.blocks or DEFAULT_BLOCKS
    side = _feature_side(blocks, network_input, field)
    grid = cnn.pool_grid
    if grid is None:
        grid = min(DEFAULT_POOL_GRID, side)
    if grid > side:
        raise InvalidFieldError(
            f"{field}.pool_grid",
            f"The feature map is only {side} wide after the blocks; use at most {side}.",
        )
    heads = cnn.head_widths or DEFAULT_HEAD_WIDTHS
    return cnn.model_copy(update={"blocks": blocks, "pool_grid": grid, "head_widths": heads})


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


def _complete_resnet(resnet: ResNetNetwork, network_input: NetworkInput) -> ResNetNetwork:
    side = min(network_input.image_shape[1:])
    stages = tuple(map(_complete_stage, resnet.stages or _usual_stages(resnet)))
    return ResNetNetwork(
        stages=stages,
        stem=resnet.stem or ("small" if side <= LARGEST_SMALL_SIDE else "large"),
        dropout=resnet.dropout,
    )


def _usual_stages(resnet: ResNetNetwork) -> tuple[ResNetStage, ...]:
    blocks = BLOCKS_BY_DEPTH[resnet.depth or DEFAULT_DEPTH]
    width = resnet.width or DEFAULT_STAGE_WIDTH
    return tuple(
        ResNetStage(blocks=count, channels=width * 2**index) for index, count in enumerate(blocks)
    )


def _complete_stage(stage: ResNetStage) -> ResNetStage:
    inner = stage.inner_channels or (stage.channels,) * stage.blocks
    return stage.model_copy(update={"inner_channels": inner})
