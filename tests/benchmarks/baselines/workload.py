"""What every contender of the trainer's benchmark trains: one description, read from a file."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from google.protobuf import json_format
from torch import Tensor, nn

from aimass.type.v1 import network_pb2
from common.networks.modules import build_network


@dataclass(frozen=True)
class Workload:
    """A training, the same for all.

    Attributes:
        data: Path of an npz file: `x_train`, `x_validation` uint8 [n, 1, height, width] and
            `y_train`, `y_validation` int64 [n].
        network: JSON form of a completed `aimass.type.v1.NetworkSpec`.
        learning_rate: Of Adam.
        batch_size: Rows of a step over all workers.
        epochs: Passes over the training rows.
        seed: Of initial weights and row order.
        commit_steps: Steps between commits, for elastic contenders.
        stop_after_step: Ends the training early after so many steps; 0 for never.
        stop_at_accuracy: Ends it once the validation accuracy is reached; above 1 for never.
    """

    data: str
    network: str
    learning_rate: float
    batch_size: int
    epochs: int
    seed: int
    commit_steps: int = 20
    stop_after_step: int = 0
    stop_at_accuracy: float = 2.0

    @classmethod
    def read(cls, path: Path) -> "Workload":
        """Reads what `write` wrote."""
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        """Writes the description as JSON."""
        path.write_text(json.dumps(asdict(self)))

    def build(self) -> nn.Module:
        """Returns the network with fresh weights, drawn after seeding torch."""
        torch.manual_seed(self.seed)
        return build_network(json_format.Parse(self.network, network_pb2.NetworkSpec()))


@dataclass(frozen=True)
class Tensors:
    """The data, standardised by the training rows.

    Attributes:
        x_train: float32 [rows, channels, height, width].
        y_train: int64 [rows].
        x_validation: Like `x_train`.
        y_validation: Like `y_train`.
    """

    x_train: Tensor
    y_train: Tensor
    x_validation: Tensor
    y_validation: Tensor


def load_tensors(workload: Workload) -> Tensors:
    """Reads the data."""
    with np.load(workload.data) as arrays:
        train = torch.from_numpy(arrays["x_train"]).float() / 255
        validation = torch.from_numpy(arrays["x_validation"]).float() / 255
        y_train = torch.from_numpy(arrays["y_train"])
        y_validation = torch.from_numpy(arrays["y_validation"])
    mean, scale = train.mean(), train.std()
    return Tensors((train - mean) / scale, y_train, (validation - mean) / scale, y_validation)


class RunLog:
    """Says when what happened: one JSON object a line, written at once."""

    def __init__(self, path: Path) -> None:
        """Opens the file for appending."""
        self._file = path.open("a", buffering=1)

    def write(self, **values: float) -> None:
        """Writes a line with the wall-clock time in seconds."""
        self._file.write(json.dumps({"time": time.time(), **values}) + "\n")


def evaluate(network: nn.Module, x: Tensor, y: Tensor, rows: int = 1_000) -> tuple[float, float]:
    """Returns summed cross-entropy and number of hits over the rows given."""
    network.eval()
    loss, hits = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(x), rows):
            labels = y[start : start + rows]
            outputs = network(x[start : start + rows])
            loss += float(nn.functional.cross_entropy(outputs, labels, reduction="sum"))
            hits += int((outputs.argmax(1) == labels).sum())
    return loss, float(hits)
