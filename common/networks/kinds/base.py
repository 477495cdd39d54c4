"""What all kinds of networks have in common."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from common.networks.kinds.costs import NetworkCost

ActivationName = Literal["relu", "gelu", "silu", "tanh"]
Width = Annotated[int, Field(ge=1, le=65_536)]
Data = Literal["a table", "images", "texts", "time series", "anything"]
"""What a network looks at, as errors call it. Beside texts there may be a table."""
PADDING = 0
"""Number of the token behind the end of a text."""


class Specification(BaseModel):
    """Base: unknown fields are refused, nothing changes after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkInput(Specification):
    """What a network takes in; see `aimass.type.v1.NetworkInput`."""

    numeric_columns: int = Field(0, ge=0)
    category_sizes: tuple[int, ...] = ()
    image_shape: tuple[int, ...] = ()
    window: int = Field(0, ge=0)
    text_length: int = Field(0, ge=0)
    vocabulary_size: int = Field(0, ge=0)
    past_columns: int = Field(0, ge=0)
    known_columns: int = Field(0, ge=0)
    season: int = Field(0, ge=0)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the network's input tensors, in the order in which `forward` takes them."""
        present = {
            "numeric": self.numeric_columns > 0,
            "categories": len(self.category_sizes) > 0,
            "image": len(self.image_shape) > 0,
            "series": self.window > 0,
            "past": self.past_columns > 0,
            "known": self.known_columns > 0,
            "tokens": self.text_length > 0,
        }
        return tuple(name for name, is_present in present.items() if is_present)

    @property
    def data(self) -> Data:
        """What this is, which a network must be made for."""
        if self.window:
            return "time series"
        if self.text_length:
            return "texts"
        return "images" if self.image_shape else "a table"


class NetworkKind(Specification):
    """Settings of one kind of network.

    Attributes:
        data: What it is made for.
    """

    data: ClassVar[Data] = "a table"

    def completed(self, network_input: NetworkInput, field: str) -> Self:
        """Fills in everything that depends on the data; doing so again changes nothing.

        Args:
            network_input: What the data gives, of this kind's `data`.
            field: Path of these settings in the request, for errors.

        Raises:
            InvalidFieldError: Settings and data do not fit.
        """
        return self

    @abstractmethod
    def cost(self, network_input: NetworkInput, outputs: int) -> NetworkCost:
        """Returns the cost of completed settings."""

    def layer_names(self) -> Iterator[str]:
        """Yields the names of the layers whose widths are its own to choose; of completed settings.

        These are the modules with weights of what `common.networks.torch_kinds` builds;
        normalisations are as wide as what they normalise.
        """
        yield from ()

    @property
    def has_batch_norm(self) -> bool:
        """Whether the network has batch normalisation."""
        return False
