"""Models from outside of a search join its blend, where rows that neither learned from say so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.models.estimators.blending import BlendedClassifier, BlendedRegressor, BlendGroup
from common.models.estimators.combining import tilted
from common.scoring.metric import Metric, Needs
from common.scoring.probabilities import LOG_LOSS
from services.tuner.domain.ensemble.final import pool_of
from services.tuner.domain.ensemble.judging import Judged, judge
from services.tuner.domain.ensemble.pool import Cost, Limits, Pool
from services.tuner.domain.ensemble.scaling import Floats
from services.tuner.domain.ensemble.selection import Ensemble, ensemble_outputs
from services.tuner.domain.problem import Outputs, Positions, Problem, ProblemKind
from services.tuner.domain.search.library import Library
from services.tuner.domain.space.configuration import Configuration

_STEPS = 20
_FEWEST_ROWS = 20


@dataclass(frozen=True)
class Guest:
    """A model from outside.

    Attributes:
        number: Unique among all candidates.
        family: Its family.
        configuration: Its settings.
        estimator: Over the problem as it was given.
        outputs: For the rows that it is judged on, (rows, outputs).
        seconds: What it took.
        cost: What it takes to predict with it.
        loss: Of the metric on these rows.
        source: The model version that it is.
    """

    number: int
    family: str
    configuration: Configuration
    estimator: Any
    outputs: Outputs
    seconds: float
    cost: Cost
    loss: float
    source: str = ""


@dataclass(frozen=True)
class Joined:
    """A blend with the models from outside that were looked at.

    Attributes:
        guests: All of them.
        weights: Shares of the guests that joined, by number; the rest is the blend's.
        row_count: Rows that both were judged on.
        judged: What all together are worth there.
        alone: What the blend is worth there.
    """

    guests: tuple[Guest, ...]
    weights: dict[int, float]
    row_count: int
    judged: Judged
    alone: Judged

    @property
    def share(self) -> float:
        """Share of the guests together."""
        return sum(self.weights.values())


def judged_rows(library: Library, ensemble: Ensemble, rows: Positions) -> Positions:
    """Returns those of some rows that the members of a blend were judged on, ascending."""
    return np.intersect1d(rows, _pool_rows(library, _folds(library, ensemble)))


def guest_loss(problem: Problem, metric: Metric, rows: Positions, outputs: Outputs) -> float:
    """Returns the loss of outputs for some rows."""
    bare = _bare(problem, metric, rows)
    return bare.loss(outputs)


def join(
    problem: Problem,
    metric: Metric,
    library: Library,
    ensemble: Ensemble,
    guests: Sequence[Guest],
    rows: Positions,
    limits: Limits,
) -> Joined | None:
    """Returns how much of each guest is good for a blend, by ensemble selection.

    What probabilities are worth is what counts where the metric looks at decisions alone, which
    few rows tell little of; but these must become better, too.

    Args:
        problem: What the candidates learned from.
        metric: For all rows.
        library: The candidates.
        ensemble: The blend.
        guests: At least one.
        rows: See `judged_rows`; the guests did not learn from them.
        limits: Of the final model.

    Returns:
        The shares; None where there are too few rows to tell.
    """
    if len(rows) < _FEWEST_ROWS:
        return None
    pool, own = _blend_outputs(problem, metric, library, ensemble, rows)
    spent = pool.cost(range(pool.size))
    bare = _bare(problem, metric, rows)
    parts = [own, *(each.outputs for each in guests)]
    counts = np.zeros(len(parts))
    counts[0] = 1
    best, best_loss = counts.copy(), _worth(bare, own)
    for _ in range(_STEPS):
        counts, loss = _grown(bare, parts, counts, guests, spent, limits)
        if loss < best_loss:
            best, best_loss = counts.copy(), loss
    shares = best / best.sum()
    alone = judge(bare, _decided(own, ensemble, problem.kind))
    judged = judge(bare, _decided(_mixed(parts, shares), ensemble, problem.kind))
    if judged.loss >= alone.loss:
        shares, judged = np.eye(len(parts))[0], alone
    weights = {
        each.number: float(share) for each, share in zip(guests, shares[1:], strict=True) if share
    }
    return Joined(tuple(guests), weights, len(rows), judged, alone)


def joined_estimator(problem: Problem, estimator: Any, ensemble: Ensemble, joined: Joined) -> Any:
    """Returns the estimator of a blend with its guests, over the problem as it was given."""
    if not joined.weights:
        return estimator
    own = 1 - joined.share
    groups = [BlendGroup([estimator], own)] if own > 0 else []
    groups += [
        BlendGroup([each.estimator], joined.weights[each.number])
        for each in joined.guests
        if each.number in joined.weights
    ]
    names = list(problem.features.columns)
    if problem.kind is ProblemKind.REGRESSION:
        return BlendedRegressor.of(groups, names)
    return BlendedClassifier.of(groups, names, problem.outputs, tilts=ensemble.tilts)


def _folds(library: Library, ensemble: Ensemble) -> int:
    return min(library.entries[number].folds for number in ensemble.weights)


def _pool_rows(library: Library, folds: int) -> Positions:
    return np.unique(np.concatenate([split.judged for split in library.splits[:folds]]))


def _blend_outputs(
    problem: Problem, metric: Metric, library: Library, ensemble: Ensemble, rows: Positions
) -> tuple[Pool, Outputs]:
    """Returns the pool of a blend's members, and the blend's outputs for some of its rows."""
    folds = _folds(library, ensemble)
    results = {number: library.entries[number].results[:folds] for number in ensemble.weights}
    pool = pool_of(problem, metric, results, library.splits)
    places = np.searchsorted(_pool_rows(library, folds), rows)
    return pool, np.asarray(ensemble_outputs(pool, ensemble)[places], np.float64)


def _bare(problem: Problem, metric: Metric, rows: Positions) -> Pool:
    """Returns a pool without candidates, by which outputs for some rows are judged."""
    width = len(problem.outputs)
    empty = np.zeros((0, problem.row_count, width), np.float32)
    parts = np.zeros(problem.row_count, np.int64)
    whole = Pool(problem.kind, metric, problem.truth, (), empty, parts, problem.weights)
    return whole.take(rows)


def _grown(
    bare: Pool,
    parts: Sequence[Outputs],
    counts: Floats,
    guests: Sequence[Guest],
    spent: Cost,
    limits: Limits,
) -> tuple[Floats, float]:
    """Returns the counts with one more of the part that helps most, and what that is worth."""
    found: list[tuple[float, Floats]] = []
    for place in range(len(parts)):
        more = counts.copy()
        more[place] += 1
        cost = sum(
            (each.cost for each, count in zip(guests, more[1:], strict=True) if count), spent
        )
        if not place or limits.allow(cost):
            found.append((_worth(bare, _mixed(parts, more / more.sum())), more))
    loss, more = min(found, key=lambda each: each[0])
    return more, loss


def _mixed(parts: Sequence[Outputs], shares: Floats) -> Outputs:
    total = np.zeros_like(parts[0])
    for each, share in zip(parts, shares.tolist(), strict=True):
        if share:
            total += share * each
    return total


def _worth(bare: Pool, outputs: Outputs) -> float:
    if bare.metric.needs is not Needs.DECISIONS:
        return bare.loss(outputs)
    return replace(bare, metric=LOG_LOSS).loss(outputs)


def _decided(outputs: Outputs, ensemble: Ensemble, kind: ProblemKind) -> Outputs:
    if ensemble.tilts is None:
        return outputs
    return tilted(outputs, ensemble.tilts, kind is not ProblemKind.MULTI_LABEL)
