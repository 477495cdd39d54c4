"""What labels taught an ensemble, on the scale that its scores have without labels."""

from dataclasses import dataclass

import numpy as np

from services.outlier.domain.calibration import Normaliser, kept_ranks
from services.outlier.domain.detector import Matrix, Rows, Scores
from services.outlier.domain.detectors.supervised import SemiSupervisedScorer

_BEYOND = 1.0  # how far beyond all known scores the oddest row can be
_OF_EQUAL = 1e-3


@dataclass(frozen=True)
class Learned:
    """A blend of detectors and labels whose scores spread as theirs do.

    The blend ranks rows well, but it is made of ranks: whether there are no anomalies or many, its
    scores spread alike, and no threshold can be found among them. So the row that it ranks as the
    tenth gets the tenth largest of the scores that are blended as they are.

    Attributes:
        blend: Ranks rows.
        knots: Scores of the blend, ascending, shape (knots,).
        levels: What they become, ascending, shape (knots,).
    """

    blend: SemiSupervisedScorer
    knots: Scores
    levels: Scores

    @classmethod
    def of(
        cls, blend: SemiSupervisedScorer, rows: Rows, base: Matrix, normalised: Scores
    ) -> "Learned":
        """Learns how scores spread.

        Args:
            blend: Ranks rows.
            rows: Rows as they are usually scored, at least one.
            base: What the detectors say of them, shape (rows, detectors).
            normalised: Mean of the same on the scale that detectors share, shape (rows,).
        """
        chances = blend.chances(rows, base)
        taught = Normaliser.fit(chances).apply(chances)
        mixed = np.sort((1 - blend.share) * normalised + blend.share * taught)
        ranks = kept_ranks(rows.count)
        knots = np.sort(blend.score(rows, base))[ranks]
        low, high = mixed[0] - _BEYOND, mixed[-1] + _BEYOND
        return cls(blend, np.r_[0.0, knots, 1.0], np.r_[low, mixed[ranks], high])

    @property
    def share(self) -> float:
        """How much of the score was learned, 0 to 1."""
        return self.blend.share

    def score(self, rows: Rows, base: Matrix) -> Scores:
        """Returns the scores of rows; see `SemiSupervisedScorer.score`."""
        blended = self.blend.score(rows, base)
        # Where levels are equal the blend still says which row is odder.
        return np.asarray(np.interp(blended, self.knots, self.levels) + _OF_EQUAL * blended)
