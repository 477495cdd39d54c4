"""Integrated gradients (Sundararajan and others, 2017) by captum, for packages of the trainer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.subject import Subject

Positions = npt.NDArray[np.int64]

STEPS = 50
_FEWEST_STEPS = 16
_TABLE_ROWS = 500
_FEWEST_ROWS = 20
_AT_ONCE = 4096
_IMAGES_AT_ONCE = 32
_BACKWARD = 3.0
LEAST_COST = _FEWEST_STEPS * _BACKWARD
"""What the gradients of an image take at least, in predictions."""


@dataclass(frozen=True)
class Gradients:
    """Contributions of columns to what the network gives for rows.

    Attributes:
        names: Of the columns.
        rows: Positions in the sample, (rows,).
        values: Contributions to the logit of the predicted class, or to the value in units of the
            target's deviation, (rows, columns).
        completeness_error: Mean over the rows of how far contributions miss the difference from the
            baseline's output, as a share of the mean size of that.
        steps: Along the way from the baseline.
        notes: What the budget cut short.
    """

    names: tuple[str, ...]
    rows: Positions
    values: npt.NDArray[np.float64]
    completeness_error: float
    steps: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Maps:
    """Contributions of pixels to the logits of images.

    Attributes:
        values: Summed over the channels, (images, height, width).
        completeness_error: See `Gradients`.
        steps: See `Gradients`.
    """

    values: npt.NDArray[np.float64]
    completeness_error: float
    steps: int


def has_column_gradients(model: TorchPackage) -> bool:
    """Returns whether each category goes in by an embedding of its own, and no text does."""
    tables = sum(isinstance(each, nn.Embedding) for each in model.network.modules())
    preprocessing = model.preprocessing
    return preprocessing.text is None and tables == len(preprocessing.categorical)


def table_gradients(subject: Subject, model: TorchPackage, budget: Budget) -> Gradients:
    """Returns contributions of numeric columns and of the embeddings of categories.

    The baseline is the mean of each number and the embedding of an unknown category.
    """
    each = subject.seconds_per_row * STEPS * _BACKWARD
    wanted = min(_TABLE_ROWS, subject.sample.count)
    count = budget.affords(wanted, each, _FEWEST_ROWS)
    rows = _drawn(subject, count)
    tensors = dict(
        zip(
            model.preprocessing.network_input.names,
            model.inputs(subject.sample.raw.take(rows)),
            strict=True,
        )
    )
    numbers = [tensors["numeric"]] if "numeric" in tensors else []
    codes = tensors.get("categories", torch.zeros(len(rows), 0, dtype=torch.int64))
    with _embedded(model.network) as (tables, forward), torch.no_grad():
        parts = [*numbers, *(table(codes[:, place]) for place, table in enumerate(tables))]
        starts = [*(torch.zeros_like(each) for each in numbers)]
        starts += [table.weight[:1].expand(len(rows), -1) for table in tables]
        found, error = _integrated(forward, parts, starts, STEPS, _AT_ONCE, (codes,), budget)
    summed = [each.sum(axis=1, keepdims=True) for each in found[len(numbers) :]]
    values = np.concatenate([*found[: len(numbers)], *summed], axis=1)
    note = f"For the budget, integrated gradients are of {count:,} of {wanted:,} rows."
    names = model.preprocessing.features
    return Gradients(names, rows, values, error, STEPS, (note,) if count < wanted else ())


def image_gradients(subject: Subject, model: TorchPackage, budget: Budget, rows: Positions) -> Maps:
    """Returns contributions of the pixels of images; the baseline is the mean colour."""
    network = model.network
    (images,) = model.inputs(subject.sample.raw.take(rows))
    each = subject.seconds_per_row * len(rows) * _BACKWARD
    steps = budget.affords(STEPS, each, _FEWEST_STEPS)
    [found], error = _integrated(
        network, [images], [torch.zeros_like(images)], steps, _IMAGES_AT_ONCE, (), budget
    )
    return Maps(found.sum(axis=1), error, steps)


def _drawn(subject: Subject, count: int) -> Positions:
    generator = np.random.default_rng(subject.settings.seed)
    return np.sort(generator.choice(subject.sample.count, count, replace=False))


def _integrated(
    forward: Callable[..., Tensor],
    parts: list[Tensor],
    starts: list[Tensor],
    steps: int,
    at_once: int,
    others: tuple[Tensor, ...],
    budget: Budget,
) -> tuple[list[npt.NDArray[np.float64]], float]:
    """Returns contributions of each part, and the completeness error."""
    from captum.attr import IntegratedGradients  # noqa: PLC0415 - takes seconds

    def checked(*inputs: Tensor) -> Tensor:
        budget.check()
        return forward(*inputs)

    with torch.no_grad():
        ends = forward(*parts, *others)
        begins = forward(*starts, *others)
    targets = ends.argmax(dim=1)
    found = IntegratedGradients(checked).attribute(
        tuple(each.detach() for each in parts),
        tuple(each.detach() for each in starts),
        target=targets,
        additional_forward_args=others or None,
        n_steps=steps,
        internal_batch_size=at_once,
    )
    differences = (ends - begins).gather(1, targets[:, None])[:, 0].double()
    sums = torch.stack([each.double().flatten(1).sum(dim=1) for each in found]).sum(dim=0)
    size = float(differences.abs().mean())
    error = float((sums - differences).abs().mean()) / (size or 1.0)
    return [np.asarray(each.detach().numpy(), np.float64) for each in found], error


@contextmanager
def _embedded(network: nn.Module) -> Iterator[tuple[list[nn.Embedding], Callable[..., Tensor]]]:
    """Gives the tables of categories and a way to run the network on their rows.

    It takes numbers, if the network does, what each table gives, and the codes of the rows.
    """
    tables = [each for each in network.modules() if isinstance(each, nn.Embedding)]
    given: dict[nn.Module, Tensor] = {}

    def exchanged(table: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return given.get(table, output)

    def forward(*inputs: Tensor) -> Tensor:
        *parts, codes = inputs
        first = len(parts) - len(tables)
        given.update(zip(tables, parts[first:], strict=True))
        try:
            found: Tensor = network(*parts[:first], *([codes] if tables else []))
            return found
        finally:
            given.clear()

    handles = [table.register_forward_hook(exchanged) for table in tables]
    try:
        yield tables, forward
    finally:
        for handle in handles:
            handle.remove()
