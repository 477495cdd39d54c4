"""Several detectors together: prepared rows in, one score out, with what it means."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.outlier.domain.calibration import Calibration, Normaliser
from services.outlier.domain.detector import Fitted, Rows, Scores
from services.outlier.domain.preparation import Preparation, RawRows


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
        scores: Mean of the members' normalised scores; larger is odder.
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
    """

    preparation: Preparation
    members: tuple[Member, ...]
    calibration: Calibration
    threshold: float

    def score_prepared(self, rows: Rows) -> Scores:
        """Returns the scores of prepared rows, shape (rows,)."""
        return combined_scores(self.members, rows)

    def score(self, raw: RawRows) -> ScoredRows:
        """Returns what is to be said of raw rows; each for itself, whatever rows are beside it."""
        scores = self.score_prepared(self.preparation.apply(raw))
        return ScoredRows(
            scores,
            self.calibration.probabilities(scores),
            self.calibration.p_values(scores),
            scores > self.threshold,
        )


def combined_scores(members: tuple[Member, ...], rows: Rows) -> Scores:
    """Returns the mean of the members' normalised scores, shape (rows,)."""
    total = np.zeros(rows.count)
    for member in members:
        total += member.score(rows)
    return total / len(members)
