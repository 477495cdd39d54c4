"""An auto-encoder: rows that a narrow network cannot rebuild are odd."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from services.outlier.domain.detector import (
    Card,
    Detector,
    Generator,
    Matrix,
    Rows,
    Scores,
    UnfitError,
)

if TYPE_CHECKING:
    import torch

_THREADS = 1  # more cost so small a network more than they give
_FARTHEST = 10.0  # one wild number must not rule what is learned
_LARGEST = 1e100  # its square is a number yet
_WIDEST = 64
_MOST_ROWS = 20_000
_MOST_CELLS = 4_000_000
_HELD_OUT = 0.1

Layer = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AutoEncoderScorer:
    """A network's weights.

    Attributes:
        weights: Of the layers, each of shape (inputs, outputs).
        biases: Of the layers, each of shape (outputs,).
    """

    weights: tuple[Matrix, ...]
    biases: tuple[Matrix, ...]

    def score(self, rows: Rows) -> Scores:
        """Returns the mean squared difference between rows and what the network makes of them."""
        scores = np.empty(rows.count)
        size = max(1, _MOST_CELLS // rows.values.shape[1])
        for start in range(0, rows.count, size):
            part = rows.values[start : start + size]
            gap = part.clip(-_LARGEST, _LARGEST) - self._rebuild(part)
            scores[start : start + size] = np.mean(gap**2, axis=1)
        return scores

    def _rebuild(self, values: Matrix) -> Matrix:
        """Returns what comes out of the network, shaped like what goes in."""
        made = values.clip(-_FARTHEST, _FARTHEST)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            made = made @ weight + bias
            if layer < len(self.weights):
                made = np.tanh(made)
        return made


class AutoEncoder(Detector):
    """Auto-encoder (Hawkins et al. 2002, "Outlier detection using replicator neural networks").

    A network with a narrow middle learns to rebuild usual rows. Some rows are held out; it stops
    once these get no better, and the best weights are kept.
    """

    middle: Annotated[int, Field(ge=0, le=_WIDEST)] = 0
    """Units of the narrow middle; 0 takes a third of the features, between 1 and 16."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 60
    """Passes over the rows, at most."""
    patience: Annotated[int, Field(ge=1, le=100)] = 8
    """Passes without progress after which it stops."""
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 0.005
    """Of the optimiser Adam."""
    seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    """Fitting stops after so long. On a slower machine this may end it earlier."""

    card: ClassVar[Card] = Card(
        fits="Numbers with many relations between them, also curved ones; some thousand rows.",
        cost="fit O(epochs n features width), score O(features width)",
        source="Hawkins, He, Williams, Baxter: Outlier Detection Using Replicator Neural "
        "Networks, 2002",
        most_rows=_MOST_ROWS,
    )

    def fit(self, rows: Rows, generator: Generator) -> AutoEncoderScorer:
        """Trains the network on at most some thousand of the rows."""
        if not rows.values.shape[1]:
            raise UnfitError("There are no features to rebuild. Choose some columns.")
        chosen = generator.permutation(rows.count)[:_MOST_ROWS]
        values = rows.values[chosen].clip(-_FARTHEST, _FARTHEST)
        held = max(1, int(_HELD_OUT * len(values)))
        layers = _draw_layers(_widths(values.shape[1], self.middle), generator)
        return self._train(values[held:], values[:held], layers, generator)

    def _train(
        self, values: Matrix, held_out: Matrix, layers: list[Layer], generator: Generator
    ) -> AutoEncoderScorer:
        """Returns the weights with which held-out rows were rebuilt best."""
        import torch  # noqa: PLC0415  # takes a second, and scoring does without

        threads = torch.get_num_threads()
        torch.set_num_threads(_THREADS)
        try:
            parameters = [torch.tensor(layer, requires_grad=True) for layer in layers]
            taught, checked = (
                torch.tensor(part, dtype=torch.float32) for part in (values, held_out)
            )
            optimiser = torch.optim.Adam(parameters, self.learning_rate)
            best, waited, stop = _Best(), 0, time.monotonic() + self.seconds
            while best.passes < self.epochs and waited < self.patience:
                for batch in _batches(len(values), generator):
                    optimiser.zero_grad()
                    torch.autograd.backward(_loss(taught[batch], parameters))
                    optimiser.step()
                    if time.monotonic() > stop:
                        break
                with torch.no_grad():
                    waited = best.offer(float(_loss(checked, parameters)), parameters)
                if time.monotonic() > stop:
                    break
        finally:
            torch.set_num_threads(threads)
        return AutoEncoderScorer(tuple(best.layers[::2]), tuple(best.layers[1::2]))


class _Best:
    """The best weights so far."""

    def __init__(self) -> None:
        self.passes = 0
        self.layers: list[Matrix] = []
        self._loss = np.inf
        self._at = 0

    def offer(self, loss: float, parameters: "list[torch.Tensor]") -> int:
        """Keeps the weights if they are better; returns for how many passes none was."""
        self.passes += 1
        if loss < self._loss or not self.layers:
            self._loss, self._at = loss, self.passes
            self.layers = [np.array(layer.detach().numpy(), float) for layer in parameters]
        return self.passes - self._at


def _widths(features: int, middle: int) -> list[int]:
    """Returns the numbers of units from the first layer to the last."""
    narrow = middle or min(max((features + 2) // 3, 1), 16)
    wide = min(max(features, 2 * narrow, 4), _WIDEST)
    return [features, wide, narrow, wide, features]


def _draw_layers(widths: list[int], generator: Generator) -> list[Layer]:
    """Draws first weights and biases in turn (Glorot and Bengio 2010)."""
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        limit = np.sqrt(6 / (inputs + outputs))
        layers.append(generator.uniform(-limit, limit, (inputs, outputs)).astype(np.float32))
        layers.append(np.zeros(outputs, np.float32))
    return layers


def _batches(count: int, generator: Generator) -> Iterator[npt.NDArray[np.int64]]:
    """Yields the places of rows in batches, in a new order."""
    order = generator.permutation(count)
    size = min(256, max(32, count // 12))
    for start in range(0, count, size):
        yield order[start : start + size]


def _loss(values: "torch.Tensor", parameters: "list[torch.Tensor]") -> "torch.Tensor":
    """Returns the mean squared difference between rows and what the network makes of them."""
    made = values
    for layer in range(0, len(parameters), 2):
        made = made @ parameters[layer] + parameters[layer + 1]
        if layer + 2 < len(parameters):
            made = made.tanh()
    return (made - values).square().mean()
