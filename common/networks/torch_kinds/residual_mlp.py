"""Residual networks for tables as torch modules; see `common.networks.kinds.residual_mlp`."""

from torch import Tensor, nn

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.residual_mlp import ResidualMlpNetwork
from common.networks.torch_kinds.base import (
    State,
    TorchKind,
    activation,
    renumbered,
    weights,
    widths,
)
from common.networks.torch_kinds.columns import category_embeddings, joined_columns


class ResidualMlpModel(nn.Module):
    """A linear layer, blocks that add to what it gives, batch norm, activation, linear layer."""

    def __init__(
        self, settings: ResidualMlpNetwork, network_input: NetworkInput, outputs: int
    ) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        self._has_numeric = network_input.numeric_columns > 0
        embedded = settings.embedding_widths
        self.embeddings = category_embeddings(network_input.category_sizes, embedded)
        self.first = nn.Linear(network_input.numeric_columns + sum(embedded), settings.width)
        self.blocks = nn.Sequential(*(_Block(settings, inner) for inner in settings.inner_widths))
        self.norm = nn.BatchNorm1d(settings.width)
        self.activation = activation(settings.activation)
        self.head = nn.Linear(settings.width, outputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        features = self.first(joined_columns(inputs, self._has_numeric, self.embeddings))
        output: Tensor = self.head(self.activation(self.norm(self.blocks(features))))
        return output


class _Block(nn.Module):
    """Batch norm and two linear layers, whose output is added to what went in."""

    def __init__(self, settings: ResidualMlpNetwork, inner: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(settings.width)
        self.linear1 = nn.Linear(settings.width, inner)
        self.activation = activation(settings.activation)
        self.dropout = nn.Dropout(settings.dropout)
        self.linear2 = nn.Linear(inner, settings.width)

    def forward(self, features: Tensor) -> Tensor:
        """Takes and returns [rows, width]."""
        inner = self.dropout(self.activation(self.linear1(self.norm(features))))
        output: Tensor = features + self.linear2(inner)
        return output


def resized_residual_mlp(
    settings: ResidualMlpNetwork, state: State
) -> tuple[ResidualMlpNetwork, State]:
    """See `TorchKind.resized`."""
    state = renumbered(state, r"blocks\.")
    changes = {
        "width": int(state["first.weight"].shape[0]),
        "inner_widths": tuple(widths(state, "blocks.", 2, "linear1.weight")),
        "embedding_widths": tuple(int(each.shape[1]) for each in weights(state, "embeddings.", 2)),
    }
    return settings.model_copy(update=changes), state


KIND = TorchKind(ResidualMlpModel, resized_residual_mlp)
