"""Rows with what is true of them and what the model says."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from common.data.schema import Task
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.subject import OutlierMarks, Subject

Numbers = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Observed:
    """Rows whose truth is known.

    Attributes:
        task: What the model predicts.
        names: What its outputs stand for.
        has_probabilities: Whether the outputs are probabilities.
        sample: The rows.
        truth: See `Sample.truth`.
        outputs: The model's.
        outliers: What a scan says of the rows; None without.
    """

    task: Task
    names: Sequence[str]
    has_probabilities: bool
    sample: Sample
    truth: Values
    outputs: Outputs
    outliers: OutlierMarks | None = None

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.truth)

    @cached_property
    def found(self) -> Values:
        """Predictions: positions of classes, values, or which of several labels are there."""
        if self.task is Task.REGRESSION:
            return self.outputs[:, 0]
        if self.task is Task.MULTI_LABEL:
            return np.asarray(self.outputs >= 0.5)
        return np.asarray(self.outputs.argmax(axis=1))

    @cached_property
    def is_known(self) -> Mask:
        """Whether the model knows the class of a row; True for other tasks."""
        if self.task is Task.CLASSIFICATION:
            return np.asarray(self.truth.astype(np.int64) >= 0)
        return np.ones(self.count, np.bool_)

    @cached_property
    def residuals(self) -> Numbers:
        """Regression: prediction less truth."""
        return np.asarray(self.found.astype(np.float64) - self.truth.astype(np.float64))

    @cached_property
    def errors(self) -> Numbers:
        """Error of each row: 1 for wrong, the share of labels that are wrong, or absolute."""
        if self.task is Task.REGRESSION:
            return np.abs(self.residuals)
        wrong = self.found != self.truth
        return np.asarray(wrong if wrong.ndim == 1 else wrong.mean(axis=1), np.float64)

    @property
    def row_error(self) -> str:
        """Name of what `errors` holds."""
        return {Task.REGRESSION: "absolute_error", Task.MULTI_LABEL: "wrong_labels"}.get(
            self.task, "wrong"
        )

    def positives(self) -> tuple[Mask, Outputs]:
        """Returns which rows are of which class or label, and the outputs, of known rows."""
        if self.task is Task.MULTI_LABEL:
            return self.truth.astype(bool), self.outputs
        known = slice(None) if self.is_known.all() else self.is_known
        truth = self.truth[known].astype(np.int64)
        return truth[:, None] == np.arange(len(self.names)), self.outputs[known]


def observed(subject: Subject) -> tuple[Observed, list[str]]:
    """Returns the sample's rows whose target is a number, and notes.

    Raises:
        NotApplicableError: There is no target, or no row with one.
        UnusableModelError: The model gives no numbers.
    """
    model, truth = subject.model, subject.truth
    whole = Observed(
        model.task,
        model.outputs,
        model.gives_probabilities,
        subject.sample,
        truth,
        subject.outputs,
        subject.outliers,
    )
    if model.task is not Task.REGRESSION:
        return whole, []
    is_there = np.isfinite(truth.astype(np.float64))
    if is_there.all():
        return whole, []
    missing = int((~is_there).sum())
    return _taken(whole, is_there), [f"{missing:,} rows without a target are left out."]


def _taken(whole: Observed, rows: Mask) -> Observed:
    marks = whole.outliers
    if marks is not None:
        marks = OutlierMarks(marks.scan, marks.marked[rows], marks.score[rows])
    return Observed(
        whole.task,
        whole.names,
        whole.has_probabilities,
        whole.sample.take(rows),
        whole.truth[rows],
        whole.outputs[rows],
        marks,
    )
