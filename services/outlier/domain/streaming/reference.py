"""What the scores of the last rows say about the next ones."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.outlier.domain.calibration import Calibration, Normaliser, UsualTail
from services.outlier.domain.detector import Matrix, Scores
from services.outlier.domain.streaming.feedback import Feedback

Arrays = dict[str, npt.NDArray[np.generic]]

# Enough for a threshold that is taken anew every 64 rows.
_MEDCOUPLE_SCORES = 200
_LEAST = 32


@dataclass(frozen=True)
class Reference:
    """Normalises and calibrates scores by those of the last rows.

    Attributes:
        normalisers: One for each detector that has enough scores.
        detectors: Which these are, positions among the detectors.
        calibration: What a mean normalised score means.
        automatic: Threshold that only the wanted share of usual rows exceeds.
        threshold: The same moved by labels; rows above are marked.
    """

    normalisers: tuple[Normaliser, ...]
    detectors: tuple[int, ...]
    calibration: Calibration
    automatic: float
    threshold: float

    @classmethod
    def fit(cls, parts: Matrix, feedback: Feedback, false_alarms: float) -> "Reference | None":
        """Learns from the scores of the last rows.

        Args:
            parts: Of each detector, shape (rows, detectors); NaN is none.
            feedback: Labels that move the threshold.
            false_alarms: Wanted share of usual rows that are marked.

        Returns:
            None where there are too few scores.
        """
        there = ~np.isnan(parts)
        detectors = tuple(int(at) for at in np.flatnonzero(there.sum(0) >= _LEAST))
        if not detectors:
            return None
        normalisers = tuple(Normaliser.fit(parts[there[:, at], at]) for at in detectors)
        recent = _combined(parts[there[:, list(detectors)].any(1)], normalisers, detectors)
        calibration = Calibration.fit(recent, _MEDCOUPLE_SCORES)
        automatic = calibration.tail.threshold(false_alarms)
        examples = _combined(feedback.parts, normalisers, detectors)
        threshold = feedback.threshold(automatic, examples, recent)
        return cls(normalisers, detectors, calibration, automatic, threshold)

    def combine(self, parts: Matrix) -> Scores:
        """Returns mean normalised scores, shape (rows,), of shape (rows, detectors)."""
        return _combined(parts, self.normalisers, self.detectors)

    def state(self) -> Arrays:
        """Returns it as arrays."""
        calibration, tail = self.calibration, self.calibration.tail
        scales = [(each.centre, each.scale) for each in self.normalisers]
        return {
            "scales": np.array(scales),
            "detectors": np.array(self.detectors, np.int64),
            "values": calibration.values,
            "ranks": calibration.ranks,
            "certainties": calibration.certainties,
            "count": np.array([calibration.count]),
            "thresholds": np.array([self.automatic, self.threshold, tail.start, tail.width]),
        }

    @classmethod
    def from_state(cls, arrays: Arrays) -> "Reference":
        """Returns the reference of which `state` was taken."""
        automatic, threshold, start, width = np.array(arrays["thresholds"], np.float64).tolist()
        calibration = Calibration(
            int(np.array(arrays["count"], np.int64)[0]),
            np.array(arrays["values"], np.float64),
            np.array(arrays["ranks"], np.int64),
            np.array(arrays["certainties"], np.float64),
            UsualTail(start, width),
        )
        return cls(
            tuple(Normaliser(*scale) for scale in np.array(arrays["scales"]).tolist()),
            tuple(np.array(arrays["detectors"]).tolist()),
            calibration,
            automatic,
            threshold,
        )


def _combined(
    parts: Matrix, normalisers: tuple[Normaliser, ...], detectors: tuple[int, ...]
) -> Scores:
    total, counts = np.zeros(len(parts)), np.zeros(len(parts))
    for normaliser, at in zip(normalisers, detectors, strict=True):
        there = ~np.isnan(parts[:, at])
        total += np.where(there, normaliser.apply(np.where(there, parts[:, at], 0)), 0)
        counts += there
    return np.asarray(total / np.maximum(counts, 1))
