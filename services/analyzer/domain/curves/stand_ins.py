"""What estimators of scikit-learn keep of their training, and what can be computed afterwards."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.curves.findings import Numbers, StandIn
from services.analyzer.domain.hidden.sklearn_layers import chain_of, prepared
from services.analyzer.domain.metrics import Metric, Scorer
from services.analyzer.domain.models.foreign import SklearnAnalysed
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.subject import Subject

_MOST_ROWS = 2000
_FEWEST_ROWS = 50
_MOST_STEPS = 100
_TOLERANCE = 1e-6
_STAGED = {Task.CLASSIFICATION: "staged_predict_proba", Task.REGRESSION: "staged_predict"}

Steps = list[tuple[str, Any]]
"""Steps of a pipeline by name."""


def stand_in(subject: Subject, model: SklearnAnalysed, budget: Budget) -> StandIn | None:
    """Returns what stands in for a history; None where nothing does.

    Args:
        subject: With rows for staged predictions.
        model: Its model.
        budget: What it may take.
    """
    *before, (_, last) = chain_of(model.model.estimator)
    staged = _staged(subject, model, before, last, budget)
    return staged or _kept(last)


def _kept(last: Any) -> StandIn | None:
    """Returns the numbers that an estimator kept while it was fitted."""
    kind = type(last).__name__
    if getattr(last, "loss_curve_", None) is not None:
        values = {"train/loss": _numbers(last.loss_curve_)}
        metric = "accuracy" if is_classifier(last) else "r2"
        scores = getattr(last, "validation_scores_", None)
        if scores is not None and len(scores) == len(last.loss_curve_):
            values[f"validation/{metric}"] = _numbers(scores)
        note = f"The {kind}'s own record of its training (`loss_curve_`) stands in for a history."
        return StandIn(values, note, "epoch", has_guess=is_classifier(last))
    if len(getattr(last, "train_score_", ())) == 0:
        return None
    note = f"The {kind}'s own record of its training (`train_score_`) stands in for a history."
    if hasattr(last, "validation_score_"):  # histogram boosting: what is larger is better
        values = {"train/score": _numbers(last.train_score_)}
        if len(last.validation_score_) == len(last.train_score_):
            values["validation/score"] = _numbers(last.validation_score_)
        return StandIn(values, note, "iteration", first=0)
    values = {"train/loss": _numbers(last.train_score_)}
    if len(getattr(last, "oob_scores_", ())) == len(last.train_score_):
        values["out_of_bag/loss"] = _numbers(last.oob_scores_)
    if len(getattr(last, "oob_improvement_", ())) == len(last.train_score_):
        values["out_of_bag_improvement"] = _numbers(last.oob_improvement_)
    return StandIn(values, note, "iteration")


def _staged(
    subject: Subject, model: SklearnAnalysed, before: Steps, last: Any, budget: Budget
) -> StandIn | None:
    """Returns errors on training and other rows after each step of boosting."""
    training, sample = subject.training, subject.sample
    is_known = training is not None and training.truth is not None and sample.truth is not None
    if training is None or not is_known or not hasattr(last, _STAGED.get(model.task, " ")):
        return None
    if not _is_predicted(subject, model, (before, last)):
        return None
    # Each step is a part of a prediction, but with what every call costs besides.
    wanted = min(_MOST_ROWS, max(training.count, sample.count))
    rows = budget.share(0.5).affords(wanted, 4 * subject.seconds_per_row, _FEWEST_ROWS)
    values, lengths = dict[str, Numbers](), list[int]()
    for part, some, share in (("train", training, 0.5), ("validation", sample, 0.9)):
        drawn = some.drawn(rows, subject.settings.seed)
        found = _measured(model, (before, last), drawn, budget.share(share))
        values |= {f"{part}/{metric}": each for metric, each in found.items()}
        lengths.append(len(found["loss"]))
    steps, count = _steps(last), _count(last)
    length = min(lengths)
    note = (
        f"The {type(last).__name__} keeps no history of its errors: its predictions after each "
        f"iteration, on {min(rows, training.count):,} training rows and on "
        f"{min(rows, sample.count):,} of the rows looked at (as validation), stand in."
    )
    cut = f"Of {count:,} iterations, the first {steps[length - 1]:,} were looked at in time."
    return StandIn(
        {name: each[:length] for name, each in values.items()},
        note,
        "iteration",
        cuts=[cut] if length < len(steps) else [],
        has_guess=True,
        steps=steps[:length],
    )


def _is_predicted(subject: Subject, model: SklearnAnalysed, fitted: tuple[Steps, Any]) -> bool:
    """Whether the model predicts what its last step does: what comes after it may change that."""
    before, last = fitted
    raw = subject.sample.raw.take(slice(0, min(subject.sample.count, _FEWEST_ROWS)))
    predict = getattr(last, _STAGED[model.task].removeprefix("staged_"))
    found = np.asarray(predict(prepared(model, before, raw)), np.float64).reshape(raw.count, -1)
    outputs = subject.predict(raw)
    return found.shape == outputs.shape and np.allclose(found, outputs, atol=_TOLERANCE)


def _measured(
    model: SklearnAnalysed, fitted: tuple[Steps, Any], sample: Sample, budget: Budget
) -> dict[str, Numbers]:
    """Returns metrics after some steps; fewer where there is no more time."""
    before, last = fitted
    stages = getattr(last, _STAGED[model.task])(prepared(model, before, sample.raw))
    steps = set(_steps(last).tolist())
    found: list[tuple[float, float]] = []
    for number, stage in enumerate(stages, start=1):
        budget.check()
        if number not in steps:
            continue
        if budget.is_spent and len(found) > 1:
            break
        outputs = np.asarray(stage, np.float64).reshape(sample.count, -1)
        found.append(_errors(model.task, sample, outputs))
    losses, scores = zip(*found, strict=True)
    metric = "r2" if model.task is Task.REGRESSION else "accuracy"
    return {"loss": _numbers(losses), metric: _numbers(scores)}


def _errors(task: Task, sample: Sample, outputs: Outputs) -> tuple[float, float]:
    """Returns cross-entropy and accuracy, or mean squared error and R²."""
    assert sample.truth is not None
    if task is Task.REGRESSION:
        error = outputs[:, 0] - sample.truth.astype(np.float64)
        score = Scorer(Metric.R2, task, sample.truth).score(outputs)
        return float((error**2).mean()), score
    loss = -Scorer(Metric.LOG_LOSS, task, sample.truth).score(outputs)
    return loss, Scorer(Metric.ACCURACY, task, sample.truth).score(outputs)


def _count(last: Any) -> int:
    """Returns the number of steps of boosting."""
    if hasattr(last, "n_iter_"):
        return int(last.n_iter_)
    return len(last.estimators_)


def _steps(last: Any) -> npt.NDArray[np.int64]:
    """Returns the steps after which errors are measured, evenly, from 1."""
    count = _count(last)
    return np.unique(np.linspace(1, count, min(count, _MOST_STEPS)).round().astype(np.int64))


def _numbers(values: Any) -> Numbers:
    return np.asarray(values, np.float64)
