"""A network of one of many kinds: from message to what depends on the data. Imports no torch."""

from typing import Any

from pydantic import model_validator

from aimass.type.v1 import network_pb2
from common.errors import InvalidFieldError
from common.networks.kinds.base import (
    ActivationName,
    NetworkInput,
    NetworkKind,
    Specification,
)
from common.networks.kinds.cnn import CnnNetwork, ConvBlock
from common.networks.kinds.custom import CustomNetwork
from common.networks.kinds.embedding_bag import EmbeddingBagNetwork
from common.networks.kinds.ft_transformer import FtTransformerNetwork
from common.networks.kinds.linear import LinearNetwork
from common.networks.kinds.mlp import MlpNetwork
from common.networks.kinds.nbeats import NBeatsBlock, NBeatsNetwork
from common.networks.kinds.residual_mlp import ResidualMlpNetwork
from common.networks.kinds.resnet import ResNetNetwork, ResNetStage
from common.networks.kinds.series_linear import SeriesLinearNetwork
from common.networks.kinds.tcn import TcnNetwork
from common.networks.kinds.text_transformer import TextTransformerNetwork
from common.networks.kinds.transformer import TransformerBlock
from common.protobuf import from_plain, to_plain

__all__ = [
    "KINDS",
    "ActivationName",
    "CnnNetwork",
    "ConvBlock",
    "CustomNetwork",
    "EmbeddingBagNetwork",
    "FtTransformerNetwork",
    "LinearNetwork",
    "MlpNetwork",
    "NBeatsBlock",
    "NBeatsNetwork",
    "NetworkInput",
    "NetworkSpecification",
    "ResNetNetwork",
    "ResNetStage",
    "ResidualMlpNetwork",
    "SeriesLinearNetwork",
    "Specification",
    "TcnNetwork",
    "TextTransformerNetwork",
    "TransformerBlock",
    "complete",
    "from_proto",
    "to_proto",
]

KINDS: dict[str, type[NetworkKind]] = {
    "linear": LinearNetwork,
    "mlp": MlpNetwork,
    "residual_mlp": ResidualMlpNetwork,
    "ft_transformer": FtTransformerNetwork,
    "cnn": CnnNetwork,
    "resnet": ResNetNetwork,
    "series_linear": SeriesLinearNetwork,
    "nbeats": NBeatsNetwork,
    "tcn": TcnNetwork,
    "custom": CustomNetwork,
    "embedding_bag": EmbeddingBagNetwork,
    "text_transformer": TextTransformerNetwork,
}
"""Kinds of networks by the names of `NetworkSpec`'s fields."""


class NetworkSpecification(Specification):
    """A network of one kind; `input` and `outputs` are filled in by `complete`."""

    linear: LinearNetwork | None = None
    mlp: MlpNetwork | None = None
    residual_mlp: ResidualMlpNetwork | None = None
    ft_transformer: FtTransformerNetwork | None = None
    cnn: CnnNetwork | None = None
    resnet: ResNetNetwork | None = None
    series_linear: SeriesLinearNetwork | None = None
    nbeats: NBeatsNetwork | None = None
    tcn: TcnNetwork | None = None
    custom: CustomNetwork | None = None
    embedding_bag: EmbeddingBagNetwork | None = None
    text_transformer: TextTransformerNetwork | None = None
    input: NetworkInput = NetworkInput()
    outputs: int = 0

    @model_validator(mode="after")
    def _has_one_kind(self) -> "NetworkSpecification":
        if len(self._given_kinds) != 1:
            *others, last = KINDS
            raise ValueError(f"give exactly one of {', '.join(others)} and {last}")
        return self

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self._given_kinds[0]

    @property
    def settings(self) -> NetworkKind:
        """What is said of the one kind."""
        found: NetworkKind = getattr(self, self.kind)
        return found

    def with_settings(self, settings: NetworkKind, **changes: Any) -> "NetworkSpecification":
        """Returns the specification with others of the same kind.

        Args:
            settings: Of the kind.
            changes: Of the fields `input` and `outputs`.
        """
        return self.model_copy(update={self.kind: settings, **changes})

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
    kind, data = specification.kind, network_input.data
    fitting = [name for name, each in KINDS.items() if each.data == data]
    if kind not in fitting and KINDS[kind].data != "anything":
        raise InvalidFieldError(
            field, f"The network {kind} does not fit {data}; use {' or '.join(fitting)}."
        )
    settings = specification.settings.completed(network_input, f"{field}.{kind}")
    return specification.with_settings(settings, input=network_input, outputs=outputs)
