"""Candidates that a blend may be made of, with their out-of-fold outputs and what they cost."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from common.models.estimators.combining import Mean, combined
from common.scoring.metric import Metric
from common.scoring.registry import on_rows
from services.tuner.domain.ensemble.scaling import Floats, sharpened_loss
from services.tuner.domain.problem import Outputs, Positions, ProblemKind, Truth

_SMALL, _LARGE = 1_000, 10_000


@dataclass(frozen=True)
class Cost:
    """What it takes to predict with a candidate.

    Attributes:
        seconds: For a row.
        bytes: Of its estimators, as kept.
    """

    seconds: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, self.bytes + other.bytes)


@dataclass(frozen=True)
class Limits:
    """What a blend may cost.

    Attributes:
        seconds: For a row.
        bytes: In all.
        members: How many candidates may have a weight.
    """

    seconds: float = math.inf
    bytes: float = math.inf
    members: int = 24

    def allow(self, cost: Cost) -> bool:
        """Whether a cost is within the limits."""
        return cost.seconds <= self.seconds and cost.bytes <= self.bytes

    def excess(self, cost: Cost) -> float:
        """Returns how many times as much as a limit a cost is, of the two the larger."""
        return max(cost.seconds / self.seconds, cost.bytes / self.bytes)


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates that were judged on the same rows.

    Attributes:
        kind: Of the problem.
        metric: What is to be made small, of these rows.
        truth: Of the rows, as `Problem.truth`.
        numbers: Of the candidates.
        outputs: Out of fold, (candidates, rows, outputs), float32.
        parts: Rows of the same part are held out together, (rows,), 0 to the number less 1; see
            `parts_of`.
        weights: Of the rows; None where all count alike.
        costs: By number.
    """

    kind: ProblemKind
    metric: Metric
    truth: Truth
    numbers: tuple[int, ...]
    outputs: npt.NDArray[np.float32]
    parts: Positions
    weights: Floats | None = None
    costs: Mapping[int, Cost] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of candidates."""
        return len(self.numbers)

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return len(self.truth)

    @cached_property
    def losses(self) -> Floats:
        """Of each candidate alone, as sure as suits it, (candidates,)."""
        return np.array(
            [
                sharpened_loss(self.metric, self.truth, np.asarray(each, np.float64), self.weights)
                for each in self.outputs
            ]
        )

    @cached_property
    def order(self) -> list[int]:
        """Positions of the candidates, the best first; of equals the cheapest."""
        costs = [self.cost([at]) for at in range(self.size)]
        return sorted(
            range(self.size), key=lambda at: (self.losses[at], costs[at].seconds, costs[at].bytes)
        )

    def loss(self, outputs: npt.NDArray[np.floating]) -> float:
        """Returns the loss of outputs for the rows, (rows, outputs)."""
        return self.metric.loss(self.truth, np.asarray(outputs, np.float64), self.weights)

    def take(self, rows: Positions) -> "Pool":
        """Returns the pool with some of its rows."""
        return replace(
            self,
            metric=on_rows(self.metric, rows),
            truth=self.truth[rows],
            outputs=self.outputs[:, rows],
            parts=self.parts[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    def bare(self) -> "Pool":
        """Returns the pool without candidates: what outputs of its rows are judged by."""
        return replace(self, numbers=(), outputs=self.outputs[:0])

    def blended(self, weights: Floats, mean: Mean) -> Outputs:
        """Returns the outputs of a blend, (rows, outputs).

        Args:
            weights: Of the candidates, (candidates,).
            mean: See `combined`.
        """
        used = np.flatnonzero(weights)
        members = [np.asarray(self.outputs[at], np.float64) for at in used]
        return combined(members, weights[used].tolist(), mean)

    def cost(self, positions: Iterable[int]) -> Cost:
        """Returns the cost of candidates together."""
        return sum((self.costs.get(self.numbers[at], Cost()) for at in positions), Cost())


def parts_of(
    truth: Truth, kind: ProblemKind, folds: Positions | None = None, seed: int = 0
) -> Positions:
    """Returns parts to hold out, (rows,): five of few rows, two of many, for these take longer.

    Args:
        truth: As `Problem.truth`.
        kind: Of the problem.
        folds: Numbers of the folds that judged the rows, which become the parts, so that groups
            stay together; at random by default, classes apart.
        seed: Of that chance.
    """
    rows = len(truth)
    count = min(5 if rows <= _SMALL else 3 if rows <= _LARGE else 2, rows)
    if folds is not None and len(np.unique(folds)) >= count:
        return np.asarray(np.unique(folds, return_inverse=True)[1] % count, np.int64)
    order = np.random.default_rng(seed).permutation(rows)
    if kind.has_classes:
        order = order[np.argsort(truth[order], kind="stable")]
    parts = np.empty(rows, np.int64)
    parts[order] = np.arange(rows) % count
    return parts
