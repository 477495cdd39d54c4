"""Scores of disturbed rows against those of the same rows undisturbed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from common.data.schema import Task
from services.analyzer.domain.metrics import (
    METRICS,
    Interval,
    Metric,
    RowScores,
    Scorer,
    mean_interval,
)
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.robustness.findings import Point
from services.analyzer.domain.subject import Subject

Positions = npt.NDArray[np.int64]

_NO_MARGIN = 1e-9


@dataclass(frozen=True)
class Baseline:
    """The rows that are disturbed, as they are.

    Attributes:
        raw: The rows.
        positions: Of the rows in the sample, ascending.
        scorer: The metric on the sample.
        outputs: The model's for the rows.
        scores: Row scores of these.
        guess: Score of a constant guess.
        is_agreement: Whether predictions stand for the truth.
    """

    raw: RawRows
    positions: Positions
    scorer: Scorer
    outputs: Outputs
    scores: RowScores
    guess: float
    is_agreement: bool

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.positions)

    @property
    def truth(self) -> Values:
        """What is true of the rows, or stands for it."""
        return self.scorer.truth[self.positions]

    @property
    def score(self) -> Interval:
        """The undisturbed score."""
        return mean_interval(self.scores)

    def first(self, rows: int) -> "Baseline":
        """Returns at most so many rows, spread evenly."""
        if rows >= self.count:
            return self
        chosen = np.linspace(0, self.count - 1, rows).astype(np.int64)
        return Baseline(
            self.raw.take(chosen),
            self.positions[chosen],
            self.scorer,
            self.outputs[chosen],
            self.scores[chosen],
            self.guess,
            self.is_agreement,
        )

    def rows(self, outputs: Outputs) -> RowScores:
        """Returns the row scores of outputs for the disturbed rows."""
        return self.scorer.rows(outputs, self.positions)

    def point(self, severity: float, scores: RowScores) -> Point:
        """Returns what row scores of disturbed rows come to."""
        score = mean_interval(scores)
        margin = self.score.value - self.guess
        retained = None
        if margin > _NO_MARGIN:
            retained = float(np.clip((score.value - self.guess) / margin, 0, 1))
        return Point(severity, score, mean_interval(self.scores - scores), retained)


def baseline_of(subject: Subject, rows: int) -> Baseline:
    """Returns at most so many rows of the sample, drawn at random, with their scores.

    Where the data has no target, what the model predicts stands for the truth.
    """
    count = subject.sample.count
    drawn = np.random.default_rng(subject.settings.seed).choice(
        count, min(rows, count), replace=False
    )
    positions = np.sort(drawn).astype(np.int64)
    scorer = _scorer(subject)
    outputs = subject.outputs[positions]
    return Baseline(
        raw=subject.sample.raw.take(positions),
        positions=positions,
        scorer=scorer,
        outputs=outputs,
        scores=scorer.rows(outputs, positions),
        guess=guess_score(scorer, positions, outputs.shape[1]),
        is_agreement=subject.sample.truth is None,
    )


def guess_score(scorer: Scorer, positions: Positions, outputs: int) -> float:
    """Returns the score on some rows of the best guess that is the same for all of them.

    Args:
        scorer: The metric.
        positions: The rows, as positions among the scorer's.
        outputs: How many outputs the model has.
    """
    guess = _guess(scorer, scorer.truth[positions], outputs)
    return scorer.score(np.tile(guess, (len(positions), 1)), positions)


def _guess(scorer: Scorer, truth: Values, outputs: int) -> Outputs:
    """Returns the outputs of the guess: shares of classes or labels, the mean, or the median."""
    if scorer.task is Task.CLASSIFICATION:
        known = truth[truth.astype(np.int64) >= 0].astype(np.int64)
        return np.bincount(known, minlength=outputs) / max(1, len(truth))
    if scorer.task is Task.MULTI_LABEL:
        return np.asarray(truth.astype(np.float64).mean(axis=0))
    numbers = truth.astype(np.float64)
    middle = np.median if scorer.metric is Metric.MEAN_ABSOLUTE_ERROR else np.mean
    return np.array([float(middle(numbers))])


def _scorer(subject: Subject) -> Scorer:
    if subject.sample.truth is not None:
        return subject.scorer
    task, outputs = subject.model.task, subject.outputs
    truths: dict[Task, Values] = {
        Task.CLASSIFICATION: outputs.argmax(axis=1),
        Task.MULTI_LABEL: outputs >= 0.5,
    }
    return Scorer(METRICS[task][0], task, truths.get(task, outputs[:, 0]))
