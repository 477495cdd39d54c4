"""Multi-layer perceptrons as torch modules."""

from itertools import pairwise

from torch import Tensor, nn

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.mlp import MlpNetwork
from common.networks.torch_kinds.base import State, TorchKind, activation, weights, widths
from common.networks.torch_kinds.columns import category_embeddings, joined_columns


class MlpModel(nn.Module):
    """A multi-layer perceptron over numeric columns and embedded categories."""

    def __init__(self, mlp: MlpNetwork, network_input: NetworkInput, outputs: int) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        self._has_numeric = network_input.numeric_columns > 0
        self.embeddings = category_embeddings(network_input.category_sizes, mlp.embedding_widths)
        width = network_input.numeric_columns + sum(mlp.embedding_widths)
        layers: list[nn.Module] = []
        for inputs, units in pairwise([width, *mlp.hidden_widths]):
            layers.append(nn.Linear(inputs, units))
            if mlp.batch_norm:
                layers.append(nn.BatchNorm1d(units))
            layers.append(activation(mlp.activation))
            if mlp.dropout > 0:
                layers.append(nn.Dropout(mlp.dropout))
        layers.append(nn.Linear(mlp.hidden_widths[-1], outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        output: Tensor = self.layers(joined_columns(inputs, self._has_numeric, self.embeddings))
        return output


def resized_mlp(mlp: MlpNetwork, state: State) -> tuple[MlpNetwork, State]:
    """See `TorchKind.resized`."""
    *hidden, _ = widths(state, "layers.", 2)
    embedded = tuple(int(each.shape[1]) for each in weights(state, "embeddings.", 2))
    changes = {"hidden_widths": tuple(hidden), "embedding_widths": embedded}
    return mlp.model_copy(update=changes), state


KIND = TorchKind(MlpModel, resized_mlp)
