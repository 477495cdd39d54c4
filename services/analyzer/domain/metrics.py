"""Metrics that are means over rows, and the usual ones besides."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from common.data.rows import Values
from common.data.schema import Task
from common.scoring.decisions import most_likely
from services.analyzer.domain.models.model import Outputs

RowScores = npt.NDArray[np.float64]
"""Shape (rows,): each row's share; their mean is the metric, larger is better."""

NEED_PROBABILITIES = frozenset({"log_loss", "roc_auc"})
"""Metrics that say nothing of a model that names classes alone."""

_LEAST_PROBABILITY = 1e-12
Z95 = 1.959963984540054
"""Standard errors that a 95 % interval reaches to either side, by the normal approximation."""


class Metric(StrEnum):
    """A metric, named as in `aimass.analyzer.v1.AnalysisMetric`."""

    ACCURACY = "accuracy"
    BALANCED_ACCURACY = "balanced_accuracy"
    LOG_LOSS = "log_loss"
    R2 = "r2"
    MEAN_ABSOLUTE_ERROR = "mean_absolute_error"

    @property
    def is_loss(self) -> bool:
        """Whether smaller is better: its row scores are negated."""
        return self in (Metric.LOG_LOSS, Metric.MEAN_ABSOLUTE_ERROR)

    @property
    def label(self) -> str:
        """Its name for people."""
        return {Metric.R2: "R²"}.get(self, self.replace("_", " "))

    def shown(self, score: float) -> float:
        """Returns the metric for a mean of row scores: losses get their sign back."""
        return -score if self.is_loss else score


METRICS = {
    Task.CLASSIFICATION: (Metric.ACCURACY, Metric.BALANCED_ACCURACY, Metric.LOG_LOSS),
    Task.MULTI_LABEL: (Metric.ACCURACY, Metric.LOG_LOSS),
    Task.REGRESSION: (Metric.R2, Metric.MEAN_ABSOLUTE_ERROR),
}
"""Metrics of each task, the default first."""


@dataclass(frozen=True)
class Scorer:
    """A metric on given rows: what depends on the truth alone is fixed, whatever the outputs.

    Attributes:
        metric: The metric.
        task: The task.
        truth: See `Sample.truth`.
    """

    metric: Metric
    task: Task
    truth: Values

    def rows(self, outputs: Outputs, chosen: Values | slice = slice(None)) -> RowScores:
        """Returns the row scores.

        Args:
            outputs: The model's, (rows, outputs).
            chosen: Which of the scorer's rows they are for. Default: all.
        """
        truth = self.truth[chosen]
        if self.task is Task.REGRESSION:
            return self._regression(truth.astype(np.float64), outputs[:, 0])
        if self.task is Task.MULTI_LABEL:
            return self._labels(truth.astype(bool), outputs)
        return self._classes(truth.astype(np.int64), outputs)

    def score(self, outputs: Outputs, chosen: Values | slice = slice(None)) -> float:
        """Returns the mean of the row scores: larger is better."""
        return float(self.rows(outputs, chosen).mean())

    def _classes(self, truth: npt.NDArray[np.int64], outputs: Outputs) -> RowScores:
        if self.metric is Metric.LOG_LOSS:
            own = outputs[np.arange(len(truth)), truth]
            own = np.where(truth < 0, 0.0, own)
            return np.asarray(np.log(np.maximum(own, _LEAST_PROBABILITY)))
        right = np.asarray(most_likely(outputs) == truth, np.float64)
        if self.metric is Metric.ACCURACY:
            return right
        classes, counts = np.unique(self.truth, return_counts=True)
        weights = len(self.truth) / (len(classes) * counts)
        return np.asarray(right * weights[np.searchsorted(classes, truth)])

    def _labels(self, truth: npt.NDArray[np.bool_], outputs: Outputs) -> RowScores:
        if self.metric is Metric.LOG_LOSS:
            own = np.where(truth, outputs, 1 - outputs)
            return np.asarray(np.log(np.maximum(own, _LEAST_PROBABILITY)).mean(axis=1))
        return np.asarray(((outputs >= 0.5) == truth).mean(axis=1))

    def _regression(self, truth: RowScores, found: RowScores) -> RowScores:
        if self.metric is Metric.MEAN_ABSOLUTE_ERROR:
            return np.asarray(-np.abs(truth - found), np.float64)
        variance = variance_of(self.truth.astype(np.float64)) or 1.0
        return np.asarray(1 - (truth - found) ** 2 / variance, np.float64)


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def mean_interval(scores: RowScores) -> Interval:
    """Returns the mean with its 95 % confidence interval, by the normal approximation."""
    mean = float(scores.mean())
    if len(scores) < 2:
        return Interval(mean, mean, mean)
    half = Z95 * float(scores.std(ddof=1)) / np.sqrt(len(scores))
    return Interval(mean, mean - half, mean + half)


def variance_of(truth: RowScores) -> float:
    """Returns the variance of targets, (rows,); exactly 0 if all are equal."""
    # Rounding may give equal numbers a tiny variance.
    return float(truth.var()) if np.ptp(truth) > 0 else 0.0


def standard_metrics(task: Task, truth: Values, outputs: Outputs) -> dict[str, float]:
    """Returns the usual metrics by name; those that the rows do not allow for are left out.

    Args:
        task: The task.
        truth: See `Sample.truth`.
        outputs: The model's.
    """
    if task is Task.REGRESSION:
        return _regression_metrics(truth.astype(np.float64), outputs[:, 0])
    if task is Task.MULTI_LABEL:
        return _label_metrics(truth.astype(bool), outputs)
    return _class_metrics(truth.astype(np.int64), outputs)


def _regression_metrics(truth: RowScores, found: RowScores) -> dict[str, float]:
    error = found - truth
    measured = {
        "mean_absolute_error": float(np.abs(error).mean()),
        "root_mean_squared_error": float(np.sqrt((error**2).mean())),
        "median_absolute_error": float(np.median(np.abs(error))),
        "bias": float(error.mean()),
    }
    variance = variance_of(truth)
    if variance > 0:
        measured["r2"] = float(1 - (error**2).mean() / variance)
    return measured


def _class_metrics(truth: npt.NDArray[np.int64], outputs: Outputs) -> dict[str, float]:
    found = outputs.argmax(axis=1)
    known = truth >= 0
    measured = {
        "accuracy": float((found == truth).mean()),
        "balanced_accuracy": Scorer(Metric.BALANCED_ACCURACY, Task.CLASSIFICATION, truth).score(
            outputs
        ),
        "log_loss": -Scorer(Metric.LOG_LOSS, Task.CLASSIFICATION, truth).score(outputs),
        "macro_f1": float(sklearn_metrics.f1_score(truth, found, average="macro", zero_division=0)),
    }
    area = _area(truth[known], outputs[known])
    return measured if area is None else measured | {"roc_auc": area}


def _area(truth: npt.NDArray[np.int64], outputs: Outputs) -> float | None:
    """Returns the area under the ROC curve, the mean over the classes; None without two classes."""
    present = [place for place in range(outputs.shape[1]) if (truth == place).sum() > 0]
    if len(present) < 2:
        return None
    if outputs.shape[1] == 2:
        return float(sklearn_metrics.roc_auc_score(truth == 1, outputs[:, 1]))
    areas = [sklearn_metrics.roc_auc_score(truth == each, outputs[:, each]) for each in present]
    return float(np.mean(areas))


def _label_metrics(truth: npt.NDArray[np.bool_], outputs: Outputs) -> dict[str, float]:
    found = outputs >= 0.5
    micro, macro = (
        float(sklearn_metrics.f1_score(truth, found, average=kind, zero_division=0))
        for kind in ("micro", "macro")
    )
    return {
        "accuracy": float((found == truth).mean()),
        "exact_match": float((found == truth).all(axis=1).mean()),
        "micro_f1": micro,
        "macro_f1": macro,
    }
