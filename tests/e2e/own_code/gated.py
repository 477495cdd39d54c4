"""A network of a user's own: each hidden layer has a gate."""

from collections.abc import Mapping

from torch import Tensor, nn


class Gated(nn.Module):
    """Layers whose outputs are multiplied by a gate of the same inputs."""

    def __init__(self, columns: int, width: int, outputs: int) -> None:
        """Makes two layers and their gates."""
        super().__init__()
        self.first, self.first_gate = nn.Linear(columns, width), nn.Linear(columns, width)
        self.second, self.second_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, numeric: Tensor) -> Tensor:
        """Takes (rows, columns), returns (rows, outputs)."""
        hidden = self.first(numeric).relu() * self.first_gate(numeric).sigmoid()
        hidden = self.norm(self.second(hidden).relu() * self.second_gate(hidden).sigmoid())
        output: Tensor = self.head(hidden)
        return output


def network(inputs: object, outputs: int, arguments: Mapping[str, str]) -> nn.Module:
    """Returns the network for a table of numbers."""
    return Gated(inputs.numeric_columns, int(arguments.get("width", "32")), outputs)  # type: ignore[attr-defined]


def wrong(inputs: object, outputs: int, arguments: Mapping[str, str]) -> nn.Module:
    """Returns a network with an output too many."""
    return Gated(inputs.numeric_columns, 8, outputs + 1)  # type: ignore[attr-defined]
