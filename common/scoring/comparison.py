"""Two models on the same rows: by how much one is better, and how sure that is."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.scoring.arrays import Outputs, Positions, Truth
from common.scoring.metric import Metric
from common.scoring.rows import RowValues

_DRAWS, _LEAST_DRAWS = 1000, 100
_MOST_ROWS = 20_000
_SECONDS = 5.0


class JudgedRows(Protocol):
    """Rows that models are judged on."""

    @property
    def truth(self) -> Truth:
        """What is true of them."""
        ...

    @property
    def weights(self) -> RowValues | None:
        """Of the rows; None where all count alike."""
        ...

    @property
    def groups(self) -> Positions | None:
        """Rows with the same number belong together; None where each row is a group."""
        ...


@dataclass(frozen=True)
class Gain:
    """By how much a model is better than another, in the metric's units.

    Attributes:
        value: Negative where it is worse.
        low: Lower bound of the interval that it is in with the confidence asked for.
        high: Upper bound.
        found_loss: Of the model.
        other_loss: Of the other.
        found_error: Standard error of the loss of the model.
        other_error: Standard error of the loss of the other.
    """

    value: float
    low: float
    high: float
    found_loss: float
    other_loss: float
    found_error: float
    other_error: float


@dataclass(frozen=True)
class _Pair:
    """Losses of both models."""

    found: float
    other: float


def gain_over(
    metric: Metric,
    rows: JudgedRows,
    found: Outputs,
    other: Outputs,
    seed: int = 0,
    seconds: float = _SECONDS,
    confidence: float = 0.95,
) -> Gain:
    """Compares two models by a paired bootstrap (Efron and Tibshirani, 1993).

    Rows are drawn for both models alike, where rows belong to groups whole groups. Of more than
    20,000 rows the spread is that of a part of them, scaled to their number.

    Args:
        metric: What counts.
        rows: What is true.
        found: Outputs of the model, as `Metric.loss` takes them.
        other: Outputs of the other.
        seed: Of all chance.
        seconds: For drawing, about; 100 draws are always made.
        confidence: Of the interval, 0 to below 1.
    """

    def losses(taken: Positions | slice, weights: RowValues | None) -> _Pair:
        truth = rows.truth[taken]
        return _Pair(*(metric.loss(truth, each[taken], weights) for each in (found, other)))

    all_rows = losses(slice(None), rows.weights)
    generator = np.random.default_rng(seed)
    part, scale = _part(len(rows.truth), generator)
    centre = losses(part, None if rows.weights is None else rows.weights[part])
    drawn = list(_drawn(rows, part, losses, generator, seconds))
    gains = np.array([each.other - each.found for each in drawn]) - (centre.other - centre.found)
    value = all_rows.other - all_rows.found
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    low, high = value + scale * np.quantile(gains, tails)
    return Gain(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        found_loss=all_rows.found,
        other_loss=all_rows.other,
        found_error=scale * float(np.std([each.found for each in drawn])),
        other_error=scale * float(np.std([each.other for each in drawn])),
    )


def _part(count: int, generator: np.random.Generator) -> tuple[Positions, float]:
    """Returns the rows that are drawn from, and what their spread is to be multiplied by."""
    if count <= _MOST_ROWS:
        return np.arange(count), 1.0
    part = generator.choice(count, _MOST_ROWS, replace=False)
    return part, float(np.sqrt(_MOST_ROWS / count))


def _drawn(
    rows: JudgedRows,
    part: Positions,
    losses: Callable[[Positions, RowValues], _Pair],
    generator: np.random.Generator,
    seconds: float,
) -> Iterator[_Pair]:
    deadline = time.monotonic() + seconds
    units = _units(rows, part)
    count = int(units.max()) + 1
    for number in range(_DRAWS):
        if number >= _LEAST_DRAWS and time.monotonic() > deadline:
            return
        times = np.bincount(generator.integers(count, size=count), minlength=count)[units]
        taken = np.flatnonzero(times)
        weights = times[taken].astype(np.float64)
        if rows.weights is not None:
            weights *= rows.weights[part[taken]]
        yield losses(part[taken], weights)


def _units(rows: JudgedRows, part: Positions) -> npt.NDArray[np.int64]:
    """Returns what is drawn together with each row: itself, or its group."""
    if rows.groups is None:
        return np.arange(len(part), dtype=np.int64)
    return np.unique(rows.groups[part], return_inverse=True)[1].astype(np.int64).reshape(-1)
