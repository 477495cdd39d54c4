"""What in images the model goes by: integrated gradients, or occlusion where there are none."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows
from common.data.schema import ColumnType, Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.gradients import LEAST_COST, image_gradients
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.sample import with_column
from services.analyzer.domain.subject import Subject

Positions = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]

_IMAGES = 8
_FEWEST_IMAGES = 2
_GRID = 8
_FEWEST_GRID = 4


class ImageMethod(StrEnum):
    """How it was found, named as in `ImageImportance.Method`."""

    INTEGRATED_GRADIENTS = "integrated_gradients"
    OCCLUSION = "occlusion"


@dataclass(frozen=True)
class SeenImage:
    """An image with what the model goes by.

    Attributes:
        row: Number in the data set version.
        pixels: Shape (channels, height, width).
        weights: Larger where the model goes by it; below 0 what speaks against, (height, width).
        predicted: Name of what the model says.
        truth: Name of what is true; empty where that is not known.
        is_right: Whether both are the same; None where the truth is not known.
    """

    row: int
    pixels: Pixels
    weights: npt.NDArray[np.float64]
    predicted: str
    truth: str
    is_right: bool | None


@dataclass(frozen=True)
class SeenImages:
    """Images with what the model goes by.

    Attributes:
        method: How it was found.
        images: Right ones first.
        completeness_error: Of integrated gradients; None for occlusion.
        notes: What stood in, or was cut short.
    """

    method: ImageMethod
    images: tuple[SeenImage, ...]
    completeness_error: float | None
    notes: tuple[str, ...]


def image_column(subject: Subject) -> str | None:
    """Returns the column of images that the model takes; None without."""
    known = subject.sample.columns
    features = (name for name in subject.model.features if name in known)
    return next((name for name in features if known[name].type is ColumnType.IMAGE), None)


def seen_images(subject: Subject, budget: Budget, column: str) -> SeenImages:
    """Returns a few images, right and wrong ones, with what the model goes by."""
    wanted = min(_IMAGES, subject.sample.count)
    each = LEAST_COST if isinstance(subject.model, TorchPackage) else _FEWEST_GRID**2
    count = budget.affords(wanted, each * subject.seconds_per_row, _FEWEST_IMAGES)
    rows = _chosen(subject, count)
    notes = [f"For the budget, {count} images are shown."] if count < wanted else []
    error = None
    if isinstance(subject.model, TorchPackage):
        method = ImageMethod.INTEGRATED_GRADIENTS
        maps = image_gradients(subject, subject.model, budget, rows)
        weights, error = maps.values, maps.completeness_error
    else:
        method = ImageMethod.OCCLUSION
        weights, grid = _occluded(subject, budget, column, rows)
        notes.append(
            f"{subject.model.format.upper()} models have no gradients: parts of the image are "
            f"covered instead, in a grid of {grid} by {grid} (occlusion)."
        )
    names, truth = _named(subject)
    images = tuple(
        SeenImage(
            int(subject.sample.numbers[row]),
            np.asarray(subject.sample.raw.columns[column][row], np.uint8),
            weights[place],
            names[row],
            truth[row],
            names[row] == truth[row] if truth[row] else None,
        )
        for place, row in enumerate(rows.tolist())
    )
    return SeenImages(method, images, error, tuple(notes))


def _chosen(subject: Subject, count: int) -> Positions:
    """Returns positions of rows that are right, then of wrong ones, at random but of all kinds."""
    generator = np.random.default_rng(subject.settings.seed)
    order = generator.permutation(subject.sample.count)
    if subject.sample.truth is None or subject.model.task is not Task.CLASSIFICATION:
        return order[:count]
    found = subject.outputs.argmax(axis=1)
    right = (found == subject.truth)[order]
    wrong = order[~right][: count // 2]
    return np.concatenate((_varied(order[right], found, count - len(wrong)), wrong))


def _varied(rows: Positions, kinds: Positions, count: int) -> Positions:
    """Returns some of the rows, of each kind as few as can be."""
    seen: dict[int, int] = {}
    places = []
    for kind in kinds[rows].tolist():
        places.append(seen.get(kind, 0))
        seen[kind] = places[-1] + 1
    return rows[np.argsort(places, kind="stable")[:count]]


def _named(subject: Subject) -> tuple[Sequence[str], Sequence[str]]:
    """Returns what the model says of each row, and what is true."""
    outputs, names = subject.outputs, subject.model.outputs
    truth = subject.sample.truth
    unknown = [""] * len(outputs)
    if subject.model.task is Task.CLASSIFICATION:
        found = [names[each] for each in outputs.argmax(axis=1).tolist()]
        if truth is None:
            return found, unknown
        return found, [names[each] if each >= 0 else "unknown" for each in truth.tolist()]
    if subject.model.task is Task.REGRESSION:
        found = [f"{each:.4g}" for each in outputs[:, 0].tolist()]
        return found, unknown if truth is None else [f"{each:.4g}" for each in truth.tolist()]
    return _joined(outputs >= 0.5, names), unknown if truth is None else _joined(truth, names)


def _joined(marks: npt.NDArray[np.generic], names: Sequence[str]) -> list[str]:
    return [
        ", ".join(name for name, mark in zip(names, row, strict=True) if mark) or "none"
        for row in marks.tolist()
    ]


def _occluded(
    subject: Subject, budget: Budget, column: str, rows: Positions
) -> tuple[npt.NDArray[np.float64], int]:
    """Returns what the output loses where a part is covered (Zeiler and Fergus, 2014)."""
    _, _, height, width = subject.sample.raw.columns[column].shape
    grid = min(_GRID, height, width)
    if budget.affords(len(rows), grid * grid * subject.seconds_per_row) < len(rows):
        grid = min(_FEWEST_GRID, grid)
    found = []
    for row in rows.tolist():
        budget.check()
        found.append(_losses(subject, column, row, grid))
    return np.stack(found), grid


def _losses(subject: Subject, column: str, row: int, grid: int) -> npt.NDArray[np.float64]:
    own = subject.sample.raw.take(np.array([row]))
    [image] = own.columns[column]
    copies = np.repeat(image[None], grid * grid, axis=0)
    areas = _areas(image.shape[1], image.shape[2], grid)
    color = image.mean(axis=(1, 2)).astype(image.dtype)
    for copy, (down, across) in zip(copies, areas, strict=True):
        copy[:, down, across] = color[:, None, None]
    repeated = RawRows(
        {name: np.repeat(each, len(copies), axis=0) for name, each in own.columns.items()},
        own.labels,
    )
    outputs = subject.predict(with_column(repeated, column, copies))
    base = subject.outputs[row]
    output = int(base.argmax())
    losses = np.zeros(image.shape[1:])
    for (down, across), found in zip(areas, outputs[:, output].tolist(), strict=True):
        losses[down, across] = base[output] - found
    return losses


def _areas(height: int, width: int, grid: int) -> list[tuple[slice, slice]]:
    rows = np.linspace(0, height, grid + 1).astype(int)
    columns = np.linspace(0, width, grid + 1).astype(int)
    return [
        (slice(top, bottom), slice(left, right))
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]
