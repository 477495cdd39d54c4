"""What users said of rows, and how it changes the scores of rows like them and the threshold."""

import numpy as np
import numpy.typing as npt

from services.outlier.domain.detector import Matrix, Scores
from services.outlier.domain.streaming.baseline import Baseline

Arrays = dict[str, npt.NDArray[np.generic]]
Flags = npt.NDArray[np.bool_]

MOST_EXAMPLES = 256

_SHARPNESS = 4.0
_BEYOND = 1.0
_INERTIA = 4.0
_LEAST_BELOW = 0.9
_MOST_CELLS = 4_000_000


class Feedback:
    """The last 256 labelled rows.

    Attributes:
        parts: What the detectors said of them, not normalised, shape (examples, detectors).
    """

    def __init__(self, features: int, detectors: int) -> None:
        """Begins with no labels."""
        self._rows = np.empty((0, features))
        self._anomalous = np.empty(0, np.bool_)
        self.parts = np.empty((0, detectors))

    def add(self, rows: Matrix, anomalous: Flags, parts: Matrix) -> None:
        """Remembers labelled rows; the oldest are forgotten, and what was said of the same row.

        Args:
            rows: Shape (rows, features); NaN is missing.
            anomalous: Whether they are anomalies, shape (rows,).
            parts: What the detectors say of them, shape (rows, detectors).
        """
        for row, label, part in zip(rows, anomalous, parts, strict=True):
            other = ~((self._rows == row) | (np.isnan(self._rows) & np.isnan(row))).all(1)
            kept = np.flatnonzero(other)[-(MOST_EXAMPLES - 1) :]
            self._rows = np.concatenate([self._rows[kept], row[None]])
            self._anomalous = np.append(self._anomalous[kept], label)
            self.parts = np.concatenate([self.parts[kept], part[None]])

    def adjust(self, scores: Scores, rows: Matrix, baseline: Baseline, threshold: float) -> Scores:
        """Draws scores of rows like labelled ones to the usual score 0, or above the threshold.

        Args:
            scores: Normalised, shape (rows,).
            rows: Shape (rows, features); NaN is missing.
            baseline: Tells what distance is small in each feature.
            threshold: Above which rows are marked.

        Returns:
            Scores, shape (rows,). Between a normal row and an anomaly the nearer one counts.
        """
        if not len(self._rows):
            return scores
        likeness = self._likeness(rows, baseline)
        normal = likeness[:, ~self._anomalous].max(1, initial=0.0)
        odd = likeness[:, self._anomalous].max(1, initial=0.0)
        lowered = np.maximum(normal - odd, 0) * np.maximum(scores, 0)
        raised = np.maximum(odd - normal, 0) * np.maximum(threshold + _BEYOND - scores, 0)
        return np.asarray(scores - lowered + raised)

    def _likeness(self, rows: Matrix, baseline: Baseline) -> Matrix:
        """Returns 1 for equal rows down to 0, shape (rows, examples)."""
        # Far from the median only the order of magnitude tells rows apart.
        examples = np.arcsinh((self._rows - baseline.centre) / baseline.scale)
        seen = np.arcsinh((rows - baseline.centre) / baseline.scale)
        likeness = np.zeros((len(rows), len(examples)))
        size = max(_MOST_CELLS // examples.size, 1)
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            squares = (seen[part, None] - examples) ** 2
            there = ~np.isnan(squares)
            counts = there.sum(2)
            distances = np.where(there, squares, 0).sum(2) / np.maximum(counts, 1)
            likeness[part] = np.where(counts > 0, np.exp(-_SHARPNESS * distances), 0.0)
        return likeness

    def threshold(self, automatic: float, examples: Scores, recent: Scores) -> float:
        """Returns the threshold with the fewest mistakes on labels that is not far to move to.

        Moving by the whole height of the automatic threshold weighs as much as four mistakes, and
        never more than a tenth of the recent rows come to lie above.

        Args:
            automatic: The threshold without labels.
            examples: Normalised scores of the labelled rows, shape (examples,).
            recent: Normalised scores of the last rows, shape (rows,).
        """
        if not len(examples):
            return automatic
        lowest = float(np.quantile(recent, _LEAST_BELOW))
        edges = np.where(self._anomalous, np.nextafter(examples, -np.inf), examples)
        candidates = np.append(automatic, np.maximum(edges, lowest))
        marked = examples > candidates[:, None]
        mistakes = (marked != self._anomalous).sum(1)
        height = max(automatic - float(np.median(recent)), 1e-9)
        costs = mistakes + _INERTIA * np.abs(candidates - automatic) / height
        return float(candidates[np.argmin(costs)])

    def state(self) -> Arrays:
        """Returns all that is needed to continue."""
        return {
            "rows": self._rows.copy(),
            "anomalous": self._anomalous.copy(),
            "parts": self.parts.copy(),
        }

    @classmethod
    def from_state(cls, arrays: Arrays) -> "Feedback":
        """Returns feedback that goes on where `state` was taken."""
        feedback = cls(arrays["rows"].shape[1], arrays["parts"].shape[1])
        feedback._rows = np.array(arrays["rows"], np.float64)
        feedback._anomalous = np.array(arrays["anomalous"], np.bool_)
        feedback.parts = np.array(arrays["parts"], np.float64)
        return feedback
