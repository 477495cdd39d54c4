"""How a model behaves on the rows: what it gets right, what it confuses, where it errs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.data.schema import Task
from services.analyzer.domain.behaviour.answers import Answers, class_answers, value_answers
from services.analyzer.domain.behaviour.calibration import calibration
from services.analyzer.domain.behaviour.confusion import Confusion, confusion
from services.analyzer.domain.behaviour.estimates import (
    class_counts,
    class_summaries,
    estimates,
)
from services.analyzer.domain.behaviour.observed import Observed, observed
from services.analyzer.domain.behaviour.outliers import outlier_errors
from services.analyzer.domain.behaviour.residuals import Residuals, residuals
from services.analyzer.domain.behaviour.slices import error_slices
from services.analyzer.domain.behaviour.summary import BehaviourSummary
from services.analyzer.domain.behaviour.thresholds import Curve, threshold_curves
from services.analyzer.domain.behaviour.wrong_rows import WrongRows, wrong_rows
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.subject import Subject

_SLICES_SHARE = 0.8
_NO_PROBABILITIES = (
    "The model names classes without probabilities: there is no log loss, calibration or threshold."
)


@dataclass(frozen=True)
class BehaviourFindings:
    """What was found.

    Attributes:
        summary: What is said of it.
        notes: What stood in, and what was cut short.
        task: What the model predicts.
        target: Name of the target column; empty if not known.
        answers: What the model predicts.
        confusion: None for others than classifiers.
        residuals: None for others than regressions.
        curves: Thresholds; empty without probabilities.
        wrong: The rows with the gravest errors; None without a target.
    """

    summary: BehaviourSummary
    notes: Sequence[str]
    task: Task
    target: str
    answers: Answers
    confusion: Confusion | None = None
    residuals: Residuals | None = None
    curves: tuple[Curve, ...] = ()
    wrong: WrongRows | None = None


def analyse_behaviour(subject: Subject, budget: Budget) -> BehaviourFindings:
    """Compares what the model predicts for the sample with what is true.

    Without a target, only how its predictions are distributed is found.

    Args:
        subject: The model with rows.
        budget: What is slow is the search for slices.

    Raises:
        NotApplicableError: There are no rows with a target.
        UnusableModelError: The model gives no numbers.
    """
    if subject.sample.truth is None:
        return _without_target(subject)
    seen, notes = observed(subject)
    budget.check()
    if seen.count == 0:
        raise NotApplicableError("No row has a target to compare with.")
    is_class = seen.task is Task.CLASSIFICATION
    seed = subject.settings.seed
    has_scores = seen.has_probabilities and seen.task is not Task.REGRESSION
    unknown = int((~seen.is_known).sum())
    confused = confusion(seen) if is_class else None
    off = residuals(seen, seed) if seen.task is Task.REGRESSION else None
    curves = threshold_curves(seen) if has_scores else ()
    wrong = wrong_rows(seen)
    answers = _answers(seen)
    budget.check()
    told, cut = error_slices(seen, budget.share(_SLICES_SHARE), seed)
    summary = BehaviourSummary(
        seen.count,
        unknown,
        estimates(seen),
        () if seen.task is Task.REGRESSION else class_summaries(seen),
        confused.summary if confused else None,
        calibration(seen, seed) if has_scores else None,
        off.summary if off else None,
        tuple(curve.summary for curve in curves),
        seen.row_error,
        told,
        wrong.rows,
        outlier_errors(seen),
        answers.shares,
        answers.quantiles,
    )
    notes = [*notes, *_notes(seen, unknown), *cut]
    target = subject.schema.target
    return BehaviourFindings(
        summary, notes, seen.task, target, answers, confused, off, curves, wrong
    )


def _notes(seen: Observed, unknown: int) -> list[str]:
    notes = []
    if seen.task is not Task.REGRESSION and not seen.has_probabilities:
        notes.append(_NO_PROBABILITIES)
    if unknown:
        notes.append(
            f"{unknown:,} of {seen.count:,} rows are of classes that the model does not know: they "
            "count as wrong."
        )
    return notes


def _answers(seen: Observed) -> Answers:
    if seen.task is Task.REGRESSION:
        return value_answers(seen.found.astype(np.float64), seen.truth.astype(np.float64))
    support = class_counts(seen)[0]
    names, has_scores = tuple(seen.names), seen.has_probabilities
    return class_answers(seen.task, names, seen.outputs, support, has_scores)


def _without_target(subject: Subject) -> BehaviourFindings:
    model, outputs = subject.model, subject.outputs
    if model.task is Task.REGRESSION:
        answers = value_answers(outputs[:, 0], None)
    else:
        has_scores = model.gives_probabilities
        answers = class_answers(model.task, model.outputs, outputs, None, has_scores)
    note = f"{subject.dataset_version} has no target: only what the model predicts is shown."
    summary = BehaviourSummary(
        len(outputs), outputs=answers.shares, output_quantiles=answers.quantiles
    )
    return BehaviourFindings(summary, [note], model.task, subject.schema.target, answers)
