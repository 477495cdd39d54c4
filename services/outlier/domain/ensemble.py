"""Several detectors together: prepared rows in, one score out, with what it means."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows
from services.outlier.domain.calibration import Calibration, Normaliser
from services.outlier.domain.detector import Fitted, Matrix, Rows, Scores
from services.outlier.domain.learned import Learned
from services.outlier.domain.preparation import Preparation

_DIGITS = 10  # after the point


@dataclass(frozen=True)
class Member:
    """A detector of an ensemble.

    Attributes:
        name: Its name, unique in the ensemble.
        fitted: What it learned.
        normaliser: Brings its scores to the scale that all members share.
    """

    name: str
    fitted: Fitted
    normaliser: Normaliser

    def score(self, rows: Rows) -> Scores:
        """Returns normalised scores, shape (rows,)."""
        return self.normaliser.apply(self.fitted.score(rows))


@dataclass(frozen=True)
class ScoredRows:
    """What an ensemble says of rows; all of shape (rows,).

    Attributes:
        scores: Mean of the members' normalised scores, or what labels taught to make of them;
            larger is odder.
        probabilities: Calibrated, that the row is an anomaly, 0 to 1.
        p_values: Conformal: the share of usual rows that are as odd.
        marked: Whether the score is above the threshold.
    """

    scores: Scores
    probabilities: Scores
    p_values: Scores
    marked: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ensemble:
    """A fitted scan: everything between raw rows and marks.

    Attributes:
        preparation: Makes rows of raw columns.
        members: The detectors whose scores are averaged.
        calibration: What a score means.
        threshold: Rows with a larger score are marked.
        learned: What labels taught; None where there were none, or they were of no use.
    """

    preparation: Preparation
    members: tuple[Member, ...]
    calibration: Calibration
    threshold: float
    learned: Learned | None = None

    def score_prepared(self, rows: Rows) -> Scores:
        """Returns the scores of prepared rows, shape (rows,)."""
        return combined_scores(self.members, rows, self.learned)

    def score(self, raw: RawRows) -> ScoredRows:
        """Returns what is to be said of raw rows; each for itself, whatever rows are beside it."""
        parts = [
            self.score_prepared(self.preparation.apply(part))
            for part in raw.parts(self.preparation.rows_at_once)
        ]
        scores: Scores = np.concatenate(parts)
        return ScoredRows(
            scores,
            self.calibration.probabilities(scores),
            self.calibration.p_values(scores),
            scores > self.threshold,
        )


def combined_scores(
    members: tuple[Member, ...], rows: Rows, learned: Learned | None = None
) -> Scores:
    """Returns the scores of several detectors as one, shape (rows,).

    It is the mean of their normalised scores, or what labels taught to make of them. Equal rows
    have equal scores, for the last digits, which depend on the rows beside a row, are rounded off.
    """
    if learned is not None:
        return np.round(learned.score(rows, base_scores(members, rows)), _DIGITS)
    total = np.zeros(rows.count)
    for member in members:
        total += member.score(rows)
    return np.round(total / len(members), _DIGITS)


def base_scores(members: tuple[Member, ...], rows: Rows) -> Matrix:
    """Returns the members' own scores, shape (rows, members)."""
    return np.stack([member.fitted.score(rows) for member in members], axis=1)
