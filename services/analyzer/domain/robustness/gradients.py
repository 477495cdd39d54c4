"""Steps along gradients. Imports torch."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from common.data.schema import Task
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.robustness.room import Room, Steps
from services.analyzer.domain.robustness.scoring import Baseline

_IMAGE_ROWS = 50
_TABLE_ROWS = 4096
# Steps that together can reach the other end of what is allowed, as Madry et al. choose them.
_REACH = 2.5


class Gradients:
    """Gradients of a network's loss by its numbers or its image, in the units of a room."""

    def __init__(
        self,
        package: TorchPackage,
        baseline: Baseline,
        room: Room,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepares the network's inputs.

        Args:
            package: The network.
            baseline: The rows, with what is true of them.
            room: Of the same rows.
            check: Called between batches; raises to stop.
        """
        self._package = package
        self._network = package.network
        self._room = room
        self._inputs = package.inputs(baseline.raw)
        names = package.preprocessing.network_input.names
        self._place = names.index("image" if room.is_image else "numeric")
        self._names = _moved_names(package, room)
        self._scale = _scale(package, room, self._names)
        self._aims = _aims(package, baseline)
        self._rows = baseline.count
        self._check = check

    def signs(self) -> Tensor:
        """Returns the direction in which the loss grows, at the rows themselves."""
        return self._signs(torch.zeros_like(self._inputs[self._place]))

    def fast(self, signs: Tensor, size: float) -> dict[str, Steps]:
        """Returns one step of a size (fast gradient sign method; Goodfellow et al., 2015).

        Args:
            signs: What `signs` returns.
            size: In units.
        """
        low, high = self._limits(size)
        return self._by_name(torch.clamp(size * signs, low, high))

    def projected(self, size: float, steps: int, seed: int) -> dict[str, Steps]:
        """Returns where smaller steps from a random start lead (Madry et al., 2018).

        Args:
            size: Of the whole, in units.
            steps: How many smaller steps.
            seed: Of the start.
        """
        low, high = self._limits(size)
        chances = torch.rand(low.shape, generator=torch.Generator().manual_seed(seed))
        way = low + chances * (high - low)
        for _ in range(steps):
            way = torch.clamp(way + _REACH * size / steps * self._signs(way), low, high)
        return self._by_name(way)

    def _limits(self, size: float) -> tuple[Tensor, Tensor]:
        pairs = [self._room.limits(name, size) for name in self._names]
        return self._stacked([low for low, _ in pairs]), self._stacked([high for _, high in pairs])

    def _stacked(self, arrays: Sequence[Steps]) -> Tensor:
        if self._room.is_image:
            return torch.from_numpy(arrays[0])
        return torch.from_numpy(np.stack(arrays, axis=1))

    def _by_name(self, steps: Tensor) -> dict[str, Steps]:
        if self._room.is_image:
            return {self._names[0]: steps.numpy()}
        return dict(zip(self._names, steps.numpy().T, strict=True))

    def _signs(self, way: Tensor) -> Tensor:
        batch = _IMAGE_ROWS if self._room.is_image else _TABLE_ROWS
        pieces = []
        for start in range(0, self._rows, batch):
            self._check()
            pieces.append(self._signs_of(slice(start, start + batch), way))
        return torch.cat(pieces)

    def _signs_of(self, rows: slice, way: Tensor) -> Tensor:
        own = way[rows].clone().requires_grad_()
        inputs = [each[rows] for each in self._inputs]
        inputs[self._place] = inputs[self._place] + own * self._scale
        with torch.enable_grad():
            loss = self._loss(self._network(*inputs), rows)
            (found,) = torch.autograd.grad(loss, own)
        return found.sign()

    def _loss(self, found: Tensor, rows: slice) -> Tensor:
        if self._aims is None:
            return found.sum()
        if self._package.task is Task.CLASSIFICATION:
            return functional.cross_entropy(found, self._aims[rows], reduction="sum")
        return ((found[:, 0] - self._aims[rows]) ** 2).sum()


def _moved_names(package: TorchPackage, room: Room) -> tuple[str, ...]:
    if room.is_image:
        return tuple(room.units)
    return tuple(column.name for column in package.preprocessing.numeric)


def _scale(package: TorchPackage, room: Room, names: Sequence[str]) -> Tensor:
    """Returns how far a network's standardised input moves with a step of one unit."""
    image = package.preprocessing.image
    if room.is_image:
        assert image is not None
        return 1 / (255 * torch.tensor(image.scale)).reshape(1, -1, 1, 1)
    units = [room.units[name] for name in names]
    scales = [column.scale for column in package.preprocessing.numeric]
    return torch.tensor(units) / torch.tensor(scales)


def _aims(package: TorchPackage, baseline: Baseline) -> Tensor | None:
    """Returns what the loss compares with; None where any other value is as wrong."""
    truth = baseline.truth
    if package.task is Task.CLASSIFICATION:
        codes = truth.astype(np.int64)
        return torch.from_numpy(np.where(codes < 0, baseline.outputs.argmax(axis=1), codes))
    if baseline.is_agreement:
        return None
    target = package.preprocessing.target
    return torch.from_numpy((truth.astype(np.float64) - target.mean) / target.scale).float()
