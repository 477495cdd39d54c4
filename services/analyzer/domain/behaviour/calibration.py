"""Whether probabilities are what they say."""

import numpy as np

from common.data.schema import Task
from services.analyzer.domain.behaviour.observed import Integers, Mask, Numbers, Observed
from services.analyzer.domain.behaviour.summary import CalibrationBin, CalibrationSummary
from services.analyzer.domain.comparison.statistics import share_interval

_BINS = 15
_LEAST_ROWS = 20
_DRAWS = 50
_MOST_DRAWN = 5_000_000


def calibration(seen: Observed, seed: int) -> CalibrationSummary | None:
    """Returns how probabilities fit what came true; None without rows of known classes."""
    truth, outputs = seen.positives()
    if len(truth) == 0:
        return None
    of, probabilities, came_true = _judged(seen, truth, outputs)
    places = _bins(probabilities)
    sizes = np.bincount(places)
    means = np.bincount(places, probabilities) / sizes
    shares = np.bincount(places, came_true) / sizes
    return CalibrationSummary(
        of,
        _expected_error(means, shares, sizes),
        _chance_error(probabilities, places, seed),
        _brier_score(seen, truth, outputs),
        _overconfidence(seen, truth, outputs),
        tuple(
            _bin(*each)
            for each in zip(
                means.tolist(),
                np.bincount(places, came_true).astype(int).tolist(),
                sizes.tolist(),
                strict=True,
            )
        ),
    )


def _judged(seen: Observed, truth: Mask, outputs: Numbers) -> tuple[str, Numbers, Numbers]:
    """Returns what probabilities are looked at, these, and whether they came true."""
    if seen.task is Task.MULTI_LABEL:
        return "labels", outputs.reshape(-1), truth.reshape(-1).astype(np.float64)
    if outputs.shape[1] == 2:
        return "second_class", outputs[:, 1], truth[:, 1].astype(np.float64)
    rows, found = np.arange(len(truth)), outputs.argmax(axis=1)
    return "predicted_class", outputs[rows, found], truth[rows, found].astype(np.float64)


def _bins(probabilities: Numbers) -> Integers:
    """Returns for each probability its bin; equal ones share one, and each bin has some rows."""
    rows = len(probabilities)
    bins = int(np.clip(rows // _LEAST_ROWS, 1, _BINS))
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, bins + 1)[1:-1]))
    places = np.searchsorted(edges, probabilities, side="right")
    return np.asarray(np.unique(places, return_inverse=True)[1], np.int64)


def _expected_error(means: Numbers, shares: Numbers, sizes: Integers) -> float:
    return float((np.abs(means - shares) * sizes).sum() / sizes.sum())


def _chance_error(probabilities: Numbers, places: Integers, seed: int) -> float:
    """Returns the mean expected error if things came true just as often as the model says."""
    generator = np.random.default_rng(seed)
    sizes = np.bincount(places)
    means = np.bincount(places, probabilities) / sizes
    draws = int(np.clip(_MOST_DRAWN // len(probabilities), 1, _DRAWS))
    errors = []
    for _ in range(draws):
        drawn = generator.random(len(probabilities)) < probabilities
        errors.append(_expected_error(means, np.bincount(places, drawn) / sizes, sizes))
    return float(np.mean(errors))


def _brier_score(seen: Observed, truth: Mask, outputs: Numbers) -> float:
    # (p - 1)² of what is true and p² of the rest, without a copy of all outputs.
    squares = np.einsum("ij,ij->", outputs, outputs) + (1 - 2 * outputs[truth]).sum()
    is_mean = seen.task is Task.MULTI_LABEL or outputs.shape[1] == 2
    return float(squares / (outputs.size if is_mean else len(outputs)))


def _overconfidence(seen: Observed, truth: Mask, outputs: Numbers) -> float:
    if seen.task is Task.MULTI_LABEL:
        right = (outputs >= 0.5) == truth
        return float(np.maximum(outputs, 1 - outputs).mean() - right.mean())
    rows, found = np.arange(len(truth)), outputs.argmax(axis=1)
    return float(outputs[rows, found].mean() - truth[rows, found].mean())


def _bin(mean: float, came_true: int, rows: int) -> CalibrationBin:
    share = share_interval(came_true, rows)
    return CalibrationBin(mean, share.value, share.low, share.high, rows)
