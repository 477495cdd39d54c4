"""How the training went."""

from collections.abc import Sequence

import numpy as np

from common.data.rows import Values
from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.curves.findings import (
    Curve,
    CurvesFindings,
    CurvesSummary,
    RunCurves,
    StandIn,
    best_by,
    best_place,
    direction,
    thinned,
)
from services.analyzer.domain.curves.stand_ins import stand_in
from services.analyzer.domain.curves.verdicts import verdicts
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.hidden.sklearn_layers import chain_of
from services.analyzer.domain.models.foreign import OnnxAnalysed, SklearnAnalysed
from services.analyzer.domain.subject import History, Subject

_MOST_RUNS = 8
_MOST_CURVES = 40
_MOST_POINTS = 100


def analyse_curves(subject: Subject, budget: Budget) -> CurvesFindings:
    """Looks at the history of the training, or at what stands in for it.

    Raises:
        NotApplicableError: The model keeps nothing of its training.
    """
    histories = [each for each in subject.histories if len(each.epochs)][:_MOST_RUNS]
    if histories:
        return _findings(histories, _guess(subject), None)
    found = _stand_in(subject, budget)
    count = len(next(iter(found.values.values())))
    steps = np.arange(found.first, found.first + count) if found.steps is None else found.steps
    own = History(subject.name, steps, found.values)
    return _findings([own], _guess(subject) if found.has_guess else None, found)


def _stand_in(subject: Subject, budget: Budget) -> StandIn:
    model = subject.model
    if isinstance(model, OnnxAnalysed):
        raise NotApplicableError("An ONNX file keeps nothing of how the model was trained.")
    if not isinstance(model, SklearnAnalysed):
        raise NotApplicableError("The model version has no history of its training.")
    found = stand_in(subject, model, budget)
    if found is None:
        kind = type(chain_of(model.model.estimator)[-1][1]).__name__
        raise NotApplicableError(f"A {kind} keeps nothing of its training that makes a curve.")
    return found


def _findings(
    histories: Sequence[History], guess: float | None, found: StandIn | None
) -> CurvesFindings:
    unit = found.unit if found else "epoch"
    note = found.note if found else ""
    summary = CurvesSummary(
        stands_in=note,
        runs=tuple(map(_run, histories)),
        verdicts=verdicts(histories[0], guess, unit),
    )
    notes = (note, *found.cuts) if found else ()
    return CurvesFindings(summary, notes, tuple(histories), unit)


def _run(history: History) -> RunCurves:
    best = best_place(history)
    names = [name for name, each in history.values.items() if np.isfinite(each).any()]
    return RunCurves(
        model_version=history.name,
        epoch_count=int(history.epochs[-1] - history.epochs[0] + 1),
        best_epoch=None if best is None else int(history.epochs[best]),
        best_by=best_by(history),
        curves=tuple(_curve(history, name, best) for name in names[:_MOST_CURVES]),
    )


def _curve(history: History, name: str, best: int | None) -> Curve:
    values = history.values[name]
    finite = values[np.isfinite(values)]
    sign = direction(name)
    own_best = int(np.where(np.isfinite(values), sign * values, np.inf).argmin())
    keep = [own_best, *([best] if best is not None else [])]
    places = thinned(values, _MOST_POINTS, keep)
    return Curve(
        name=name,
        epochs=tuple(history.epochs[places].tolist()),
        values=tuple(values[places].tolist()),
        best=float(values[own_best]) if sign else None,
        last=float(finite[-1]) if len(finite) else None,
    )


def _guess(subject: Subject) -> float | None:
    """Returns the loss of the best constant guess on training rows, or on those looked at."""
    rows = subject.training if subject.training is not None else subject.sample
    if rows.truth is None or subject.model.task is Task.MULTI_LABEL:
        return None
    return _guess_loss(rows.truth, subject.model.task)


def _guess_loss(truth: Values, task: Task) -> float | None:
    if task is Task.REGRESSION:
        variance = float(truth.astype(np.float64).var())
        return variance if np.isfinite(variance) else None
    shares = np.unique(truth, return_counts=True)[1] / len(truth)
    return float(-(shares * np.log(shares)).sum())
