"""Says how much rows promise. Imports numba."""

import numpy as np

from services.tuner.domain.space.encoding import Positions, Rows, Vector
from services.tuner.domain.surrogate.acquisition import log_expected_improvement
from services.tuner.domain.surrogate.forest import Forest, grown
from services.tuner.domain.surrogate.trend import Trend, trend_of

_BEST, _OTHERS = 100, 100


class Judge:
    """Has learned what trials teach, and what they cost."""

    def __init__(
        self,
        choices: Positions,
        told: Rows,
        losses: Vector,
        costs: Vector | None,
        generator: np.random.Generator,
        *,
        has_trend: bool,
        room: int,
    ) -> None:
        """Learns.

        Args:
            choices: See `Encoding.choices`.
            told: Of the trials that ended.
            losses: Of each.
            costs: Of each; None where they do not matter.
            generator: Of all chance.
            has_trend: Whether a smooth trend is below the forest.
            room: For so many rows that are believed later.
        """
        self._smallest = float(losses.min())
        self._ranked = told[np.argsort(losses, kind="stable")]
        kept = _kept(losses, generator)
        told, losses = told[kept], losses[kept]
        self._trend: Trend | None = None
        if has_trend:
            self._trend = trend_of(told, losses, choices)
            losses = losses - self._trend.predicted(told)
        self._costs: Forest | None = None
        if costs is not None:
            self._costs = grown(told, costs[kept], choices, generator)
        self._losses = grown(told, losses, choices, generator, room=room)

    def best(self, count: int) -> Rows:
        """Returns the rows with the smallest losses."""
        return self._ranked[:count]

    def believe(self, row: Vector) -> None:
        """Takes for true what it thinks of a trial that has not ended."""
        self._losses.believe(row)

    def promise(self, rows: Rows) -> Vector:
        """Returns the logarithm of the improvement that is expected, for each second of cost."""
        mean, variance = self._losses.predicted(rows)
        if self._trend is not None:
            mean = mean + self._trend.predicted(rows)
        promise = log_expected_improvement(mean, variance, self._smallest)
        if self._costs is None:
            return promise
        return promise - self._costs.predicted(rows)[0]


def _kept(losses: Vector, generator: np.random.Generator) -> Positions:
    """Returns which trials are learned from: of many, the best and some of the others."""
    ranked = np.argsort(losses, kind="stable")
    best, others = ranked[:_BEST], ranked[_BEST:]
    if len(others) > _OTHERS:
        others = generator.choice(others, _OTHERS, replace=False)
    return np.concatenate([best, others])
