"""Intervals of metrics by drawing the rows again (bootstrap), the same rows for all versions.

Every metric here is a function of sums over rows, so that a draw is a product of matrices.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from common.data.rows import Values
from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.model import Outputs

Matrix = npt.NDArray[np.float64]

CALIBRATION_ERROR = "expected_calibration_error"

_BINS = 10
_CHUNK = 2_000_000
_LEAST_PROBABILITY = 1e-12
_MOST_CLASSES = 100
# Rows times classes: what is summed over each class takes eight numbers of each row.
_MOST_CELLS = 2_000_000


@dataclass(frozen=True)
class Statistic:
    """A metric as a function of sums over rows.

    Attributes:
        terms: What is summed, (rows, terms).
        finish: Makes the metric of sums, (draws, terms) to (draws,).
    """

    terms: Matrix
    finish: Callable[[Matrix], Matrix]

    @property
    def value(self) -> float:
        """The metric on the rows themselves."""
        return float(self.finish(self.terms.sum(axis=0, keepdims=True))[0])


def statistics(task: Task, truth: Values, outputs: Outputs) -> dict[str, Statistic]:
    """Returns metrics by name, named as `standard_metrics` does, with the calibration error.

    Args:
        task: The task.
        truth: See `Sample.truth`.
        outputs: A model's.
    """
    if task is Task.REGRESSION:
        return _of_values(truth.astype(np.float64), outputs[:, 0])
    if task is Task.MULTI_LABEL:
        return _of_labels(truth.astype(bool), outputs)
    return _of_classes(truth.astype(np.int64), outputs)


def draws_of(
    versions: Sequence[Mapping[str, Statistic]], wanted: int, seed: int, budget: Budget
) -> list[dict[str, Matrix]]:
    """Returns the metrics of each version on rows that are drawn again, (draws,) each.

    Args:
        versions: Statistics of each, on the same rows.
        wanted: How many draws; fewer where the budget is short.
        seed: Of what is drawn.
        budget: What there is to spend.
    """
    terms = np.hstack([each.terms for version in versions for each in version.values()])
    rows = len(terms)
    generator = np.random.default_rng(seed)
    sums = []
    done, at_once = 0, max(1, min(wanted, _CHUNK // rows))
    while done < wanted and not (budget.is_spent and done):
        budget.check()
        draws = min(at_once, wanted - done)
        sums.append(_weights(generator, draws, rows) @ terms)
        done += draws
    return _finished(versions, np.concatenate(sums))


def _weights(generator: np.random.Generator, draws: int, rows: int) -> Matrix:
    """Returns how often each row is drawn, (draws, rows)."""
    chosen = generator.integers(rows, size=(draws, rows))
    chosen += rows * np.arange(draws)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=draws * rows)
    return counts.reshape(draws, rows).astype(np.float64)


def _finished(versions: Sequence[Mapping[str, Statistic]], sums: Matrix) -> list[dict[str, Matrix]]:
    finished, start = [], 0
    for version in versions:
        own = {}
        for name, each in version.items():
            end = start + each.terms.shape[1]
            own[name] = each.finish(sums[:, start:end])
            start = end
        finished.append(own)
    return finished


def _mean(values: npt.NDArray[np.generic]) -> Statistic:
    """Returns the mean of a value of each row."""
    terms = np.column_stack([values.astype(np.float64), np.ones(len(values))])
    return Statistic(terms, lambda sums: sums[:, 0] / sums[:, 1])


def _of_values(truth: Matrix, found: Matrix) -> dict[str, Statistic]:
    error = found - truth
    centred = truth - truth.mean()
    squares = np.column_stack([error**2, centred, centred**2, np.ones(len(truth))])
    own = {
        "mean_absolute_error": _mean(np.abs(error)),
        "root_mean_squared_error": Statistic(
            squares, lambda sums: np.asarray(np.sqrt(sums[:, 0] / sums[:, 3]))
        ),
        "bias": _mean(error),
    }
    return own | ({"r2": Statistic(squares, _explained)} if truth.var() > 0 else {})


def _explained(sums: Matrix) -> Matrix:
    spread = sums[:, 2] - sums[:, 1] ** 2 / sums[:, 3]
    return 1 - _ratio(sums[:, 0], spread)


def _of_classes(truth: npt.NDArray[np.int64], outputs: Outputs) -> dict[str, Statistic]:
    found = outputs.argmax(axis=1)
    own = outputs[np.arange(len(truth)), truth]
    likelihood = np.where(truth < 0, 0.0, own).clip(_LEAST_PROBABILITY)
    single = {
        "accuracy": _mean(found == truth),
        "log_loss": _mean(-np.log(likelihood)),
        CALIBRATION_ERROR: _calibration(outputs.max(axis=1), found == truth),
    }
    classes = np.union1d(truth, found)
    if len(classes) > _MOST_CLASSES or len(classes) * len(truth) > _MOST_CELLS:
        return single
    is_true, is_found = truth[:, None] == classes, found[:, None] == classes
    present = is_true.any(axis=0)
    area = _area(truth, outputs)
    return (
        single
        | {
            "balanced_accuracy": _mean_ratio(is_true & is_found, is_true, present),
            "macro_f1": _f1(is_true, is_found),
        }
        | ({} if area is None else {"roc_auc": area})
    )


def _of_labels(truth: npt.NDArray[np.bool_], outputs: Outputs) -> dict[str, Statistic]:
    found = outputs >= 0.5
    both = np.column_stack([(truth & found).sum(axis=1), (truth.sum(axis=1) + found.sum(axis=1))])
    likelihood = np.where(truth, outputs, 1 - outputs).clip(_LEAST_PROBABILITY)
    single = {
        "accuracy": _mean((found == truth).mean(axis=1)),
        "log_loss": _mean(-np.log(likelihood).mean(axis=1)),
        "exact_match": _mean((found == truth).all(axis=1)),
        "micro_f1": Statistic(
            both.astype(np.float64), lambda sums: _ratio(2 * sums[:, 0], sums[:, 1])
        ),
    }
    is_large = truth.shape[1] > _MOST_CLASSES or truth.size > _MOST_CELLS
    return single if is_large else single | {"macro_f1": _f1(truth, found)}


def _f1(truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> Statistic:
    every = np.ones(truth.shape[1], bool)
    return _mean_ratio(2 * (truth & found), truth.astype(np.int64) + found, every)


def _mean_ratio(
    above: npt.NDArray[np.generic], below: npt.NDArray[np.generic], counted: npt.NDArray[np.bool_]
) -> Statistic:
    """Returns the mean over columns of sums over sums; columns that a draw has not do not count."""
    filled = counted & (below != 0).any(axis=0)
    terms = np.hstack([above[:, filled], below[:, filled]]).astype(np.float64)
    columns = int(filled.sum())
    # What the rows themselves do not have counts as 0, as with scikit-learn.
    weight = columns / max(1, int(counted.sum()))

    def finish(sums: Matrix) -> Matrix:
        own, of = sums[:, :columns], sums[:, columns:]
        return weight * _ratio(_ratio(own, of).sum(axis=1), (of > 0).sum(axis=1).astype(np.float64))

    return Statistic(terms, finish)


def _calibration(confidence: Matrix, right: npt.NDArray[np.bool_]) -> Statistic:
    """Returns the mean distance of confidence and accuracy over bins of confidence.

    Guo and others, On calibration of modern neural networks, 2017.
    """
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    terms = np.where(bins[:, None] == np.arange(_BINS), (confidence - right)[:, None], 0.0)
    rows = len(terms)  # every draw has as many
    return Statistic(terms, lambda sums: np.asarray(np.abs(sums).sum(axis=1) / rows))


def _area(truth: npt.NDArray[np.int64], outputs: Outputs) -> Statistic | None:
    """Returns the area under the ROC curve, the mean over the classes; None without two classes.

    A draw's area is linear in its rows to first order, as in DeLong, DeLong and Clarke-Pearson
    (Biometrics 1988).
    """
    known = truth >= 0
    present = [place for place in range(outputs.shape[1]) if (truth == place).any()]
    if len(present) < 2:
        return None
    chosen = [1] if outputs.shape[1] == 2 else present
    terms = np.zeros((len(truth), 4, len(chosen)))
    areas = np.empty(len(chosen))
    for at, place in enumerate(chosen):
        terms[known, :, at], areas[at] = _placements(outputs[known, place], truth[known] == place)

    def finish(sums: Matrix) -> Matrix:
        each = sums.reshape(len(sums), 4, -1)
        own = _ratio(each[:, 0], each[:, 1]) + _ratio(each[:, 2], each[:, 3]) - areas
        return np.asarray(own.mean(axis=1))

    return Statistic(terms.reshape(len(truth), -1), finish)


def _placements(score: Matrix, positive: npt.NDArray[np.bool_]) -> tuple[Matrix, float]:
    """Returns how many of the other kind each row stands right of, (rows, 4), and the area."""
    overall = rankdata(score)
    place = np.empty(len(score))
    for own in (positive, ~positive):
        place[own] = (overall[own] - rankdata(score[own])) / max(1, (~own).sum())
    place[~positive] = 1 - place[~positive]
    terms = np.column_stack([place * positive, positive, place * ~positive, ~positive])
    return terms.astype(np.float64), float(place[positive].mean())


def _ratio(above: Matrix, below: Matrix) -> Matrix:
    """Returns quotients, 0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros_like(above, np.float64), where=below != 0)
