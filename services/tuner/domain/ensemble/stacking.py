"""Weights of a blend beyond those of a bag: a linear stacker."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy.optimize import minimize

from common.models.estimators.combining import Mean, probabilities_of, scores_of
from common.scoring.probabilities import LOG_LOSS
from common.scoring.values import R2, RMSE
from services.tuner.domain.ensemble.pool import Pool
from services.tuner.domain.ensemble.scaling import Floats
from services.tuner.domain.problem import Positions, ProblemKind

_MOST_ENTRIES = 800_000
_FEWEST_ROWS = 2_000
_SPREAD = 0.3  # of weights about those of the blend, before rows are seen


def score_mean(kind: ProblemKind) -> Mean:
    """Returns how outputs of a kind of problem become scores."""
    if kind is ProblemKind.REGRESSION:
        return Mean.PLAIN
    return Mean.ODDS if kind is ProblemKind.MULTI_LABEL else Mean.LOGITS


def linear_weights(pool: Pool, start: Floats) -> tuple[Floats, Mean] | None:
    """Returns weights of a linear stacker near those of a blend, none below 0.

    Of classes and labels it is a logistic regression on the members' scores, whose weights may sum
    to other than 1; of a regression least squares with sum 1.

    Args:
        pool: Of the candidates.
        start: Weights of the blend, sum 1; others stay 0.

    Returns:
        The weights with how outputs are averaged; None where the metric is none of these.
    """
    members = np.flatnonzero(start)
    fit = _FITS.get(pool.metric.name)
    if fit is None or len(members) < 2:
        return None
    found = fit(pool, members, start[members])
    if not found.any():
        return None
    weights = np.zeros(pool.size)
    weights[members] = found
    return weights, score_mean(pool.kind)


def _rows(pool: Pool, members: int) -> Positions:
    """Returns some rows: few weights need few."""
    count = max(_MOST_ENTRIES // (members * pool.outputs.shape[2]), _FEWEST_ROWS)
    if count >= pool.row_count:
        return np.arange(pool.row_count)
    return np.sort(np.random.default_rng(0).permutation(pool.row_count)[:count])


def _least_squares(pool: Pool, members: Positions, start: Floats) -> Floats:
    weights = np.ones(pool.row_count) if pool.weights is None else pool.weights
    errors = np.asarray(pool.outputs[members, :, 0], np.float64) - pool.truth.astype(np.float64)
    products = (errors * (weights / weights.sum())) @ errors.T
    # In units of the blend's own error, so that the pull towards it counts the same anywhere.
    unit = max(float(start @ products @ start), 1e-300)
    products = products / unit
    strength = 1 / (_SPREAD**2 * pool.row_count)

    def cost(values: Floats) -> tuple[float, Floats]:
        off = values - start
        loss = values @ products @ values + strength * (off @ off)
        return float(loss), 2 * (products @ values + strength * off)

    bounds = [(0.0, 1.0)] * len(members)
    sums = {"type": "eq", "fun": lambda v: v.sum() - 1, "jac": lambda v: np.ones(len(v))}
    found = minimize(cost, start, jac=True, method="SLSQP", bounds=bounds, constraints=[sums])
    return np.asarray(np.maximum(found.x, 0))


def _logistic(pool: Pool, members: Positions, begin: Floats) -> Floats:
    mean, chosen = score_mean(pool.kind), _rows(pool, len(members))
    scores = np.stack([scores_of(pool.outputs[at, chosen], mean) for at in members])
    wanted = pool.truth[chosen]
    if pool.kind.has_classes:
        wanted = wanted[:, None] == np.arange(scores.shape[2])
    rows = np.ones(len(chosen)) if pool.weights is None else pool.weights[chosen]
    share = rows / rows.sum() / (1 if pool.kind.has_classes else scores.shape[2])
    strength = 1 / (_SPREAD**2 * len(chosen))
    cost = _likelihood(scores, np.asarray(wanted, np.float64), share[:, None], mean)

    def drawn(values: Floats) -> tuple[float, Floats]:
        loss, slope = cost(values)
        off = values - begin
        return loss + strength / 2 * float(off @ off), slope + strength * off

    bounds = [(0.0, None)] * len(members)
    found = minimize(drawn, begin, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x)


def _likelihood(
    scores: Floats, wanted: Floats, share: Floats, mean: Mean
) -> Callable[[Floats], tuple[float, Floats]]:
    """Returns the log loss of weights with its slope."""
    flat = scores.reshape(len(scores), -1)

    def cost(values: Floats) -> tuple[float, Floats]:
        found = probabilities_of((values @ flat).reshape(wanted.shape), mean)
        own = wanted * np.log(np.maximum(found, 1e-15))
        if mean is Mean.ODDS:
            own = own + (1 - wanted) * np.log(np.maximum(1 - found, 1e-15))
        slope = flat @ (share * (found - wanted)).ravel()
        return -float((share * own).sum()), slope

    return cost


_FITS: Mapping[str, Callable[[Pool, Positions, Floats], Floats]] = MappingProxyType(
    {RMSE.name: _least_squares, R2.name: _least_squares, LOG_LOSS.name: _logistic}
)
