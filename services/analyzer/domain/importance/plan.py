"""Which rows get values of which, and what follows from what they lose by it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.fed import Item
from services.analyzer.domain.metrics import Z95, RowScores
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.subject import Subject

Positions = npt.NDArray[np.int64]

_FEWEST_REPEATS = 2
_FEWEST_ROWS = 100


@dataclass(frozen=True)
class Plan:
    """Which rows get values of which.

    Attributes:
        rows: Positions in the sample, ascending.
        orders: For each repeat which of `rows` give values to them, (repeats, rows).
        is_cut: Whether they are not all rows of the sample.
        notes: What the budget cut short.
    """

    rows: Positions
    orders: Positions
    is_cut: bool
    notes: tuple[str, ...]

    @property
    def repeats(self) -> int:
        """How often each column is permuted."""
        return len(self.orders)


@dataclass(frozen=True)
class Exchanged:
    """Outputs for rows with values of others.

    Attributes:
        item: Number of what was exchanged.
        rows: Which of a plan's rows; they may be there several times.
        givers: Which of them gave values to these.
        outputs: The model's, (rows, outputs).
    """

    item: int
    rows: Positions
    givers: Positions
    outputs: Outputs


Job = Callable[[], Iterator[Exchanged]]


class Way(Protocol):
    """A way to get a model's outputs for rows with exchanged values."""

    @property
    def seconds_each(self) -> float:
        """About what it takes for one item, one repeat and one row."""
        ...

    def jobs(self, items: Sequence[Item], plan: Plan) -> Iterator[Job]:
        """Yields what together gives the outputs of all rows whose values change."""
        ...


def planned(
    subject: Subject, budget: Budget, items: int, repeats: int, seconds_each: float
) -> Plan:
    """Returns a plan for the budget: it cuts repeats first, then rows.

    Args:
        subject: What is analysed.
        budget: For everything.
        items: How many columns there are.
        repeats: How many are wanted.
        seconds_each: What a row takes for one item and one repeat.
    """
    count = subject.sample.count
    pairs = budget.affords(items * repeats * count, seconds_each)
    used = min(repeats, max(_FEWEST_REPEATS, pairs // (items * count)))
    kept = min(count, max(_FEWEST_ROWS, pairs // (items * used)))
    generator = np.random.default_rng(subject.settings.seed)
    is_cut = kept < count
    rows = np.sort(generator.choice(count, kept, replace=False)) if is_cut else np.arange(count)
    orders = np.stack([generator.permutation(kept) for _ in range(used)])
    note = (
        f"For the budget, permutation used {kept:,} of {count:,} rows and {used} of {repeats} "
        "repeats."
    )
    return Plan(rows, orders, is_cut, (note,) if is_cut or used < repeats else ())


@dataclass(frozen=True)
class Importance:
    """How far the metric falls when values are permuted, with a 95 % confidence interval.

    Attributes:
        name: Of the column or lag.
        mean: Fall of the mean row score over all repeats; below 0 where chance made it rise. For a
            loss it is how far the loss rises.
        low: Of the interval.
        high: Of the interval.
    """

    name: str
    mean: float
    low: float
    high: float


class Losses:
    """What rows lose by values of others, summed up over the repeats."""

    def __init__(self, names: Sequence[str], plan: Plan) -> None:
        """Begins with nothing lost."""
        self._names, self._plan = names, plan
        self._received = np.zeros((len(names), len(plan.rows)))
        self._gave = np.zeros_like(self._received)

    def add(self, item: int, rows: Positions, givers: Positions, lost: RowScores) -> None:
        """Adds what rows lose by the values of givers; rows may be there several times."""
        np.add.at(self._received[item], rows, lost)
        np.add.at(self._gave[item], givers, lost)

    def estimates(self) -> list[Importance]:
        """Returns the importance of each item with its interval.

        The importance is a mean over pairs of rows, one that is predicted and one that gives it a
        value. Each row's influence on it is what it lost as the first, plus what others lost by
        its value; both are means over the repeats, so that the noise of few repeats is in them.
        """
        means = self._received.mean(axis=1) / self._plan.repeats
        influences = (self._received + self._gave).std(axis=1, ddof=1) / self._plan.repeats
        halves = Z95 * influences / math.sqrt(len(self._plan.rows))
        return [
            Importance(name, mean, mean - half, mean + half)
            for name, mean, half in zip(self._names, means.tolist(), halves.tolist(), strict=True)
        ]
