"""How sure the loss of outputs is, and whether others are better."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.scoring.forms import RowLosses
from common.scoring.registry import on_rows
from services.tuner.domain.ensemble.pool import Pool
from services.tuner.domain.ensemble.scaling import Floats
from services.tuner.domain.problem import Outputs, Positions

_GROUPS = 20


@dataclass(frozen=True)
class Judged:
    """What outputs are worth.

    Attributes:
        loss: For all rows.
        without: Without each of some groups of rows, (groups,); empty of a single row.
    """

    loss: float
    without: Floats

    @property
    def error(self) -> float:
        """Standard error of the loss, by the jackknife (Tukey 1958)."""
        return _error(self.without)

    def gain_error(self, other: "Judged") -> float:
        """Standard error of the difference to another's loss on the same rows."""
        return _error(self.without - other.without)


def judge(pool: Pool, outputs: Outputs) -> Judged:
    """Returns what outputs for the rows of a pool are worth, (rows, outputs)."""
    groups = _groups(pool.row_count)
    if not isinstance(pool.metric, RowLosses):
        rests = [np.flatnonzero(groups != each) for each in range(groups.max() + 1)]
        return Judged(pool.loss(outputs), _without(pool, outputs, rests))
    losses = pool.metric.row_losses(pool.truth, outputs, pool.weights)
    weights = np.ones(len(losses)) if pool.weights is None else pool.weights
    shares = np.bincount(groups, weights)
    sums = np.bincount(groups, weights * losses)
    rests_weight = weights.sum() - shares
    if not (rests_weight > 0).all():
        return Judged(pool.loss(outputs), np.zeros(0))
    means = (sums.sum() - sums) / rests_weight
    return Judged(pool.loss(outputs), np.array([pool.metric.of_mean(each) for each in means]))


def _without(pool: Pool, outputs: Outputs, rests: Sequence[Positions]) -> Floats:
    return np.array(
        [
            on_rows(pool.metric, rest).loss(
                pool.truth[rest],
                outputs[rest],
                None if pool.weights is None else pool.weights[rest],
            )
            for rest in rests
            if len(rest)
        ]
    )


def _groups(rows: int) -> Positions:
    """Returns a group for each row, always the same, so that losses can be compared."""
    return np.asarray(np.random.default_rng(0).permutation(rows) % min(_GROUPS, rows), np.int64)


def _error(without: Floats) -> float:
    count = len(without)
    if count < 2:
        return float("inf")
    return float(np.sqrt((count - 1) * without.var()))
