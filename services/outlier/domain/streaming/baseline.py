"""A robust baseline: how far each number is from the running median of its feature."""

import numpy as np
import numpy.typing as npt

from services.outlier.domain.detector import Matrix, Scores

Arrays = dict[str, npt.NDArray[np.generic]]

BLOCK = 64
FIRST_TURN = 16

_MOST_DEVIATIONS = 1e6
# How many standard deviations lie between quantiles of normal numbers; all of 256 span 5.6.
_SPANS = ((0.25, 1.349), (0.05, 3.290), (0.0, 5.6))
_RELATIVE = 1e-6


class Baseline:
    """Running median and scale of every feature over a window of rows, exact, without noise.

    Both are taken anew after every 64 rows, and after 16 and 32 at first. Missing numbers are
    passed over. Scores of rows do not depend on how the stream is cut into batches.

    Attributes:
        centre: Medians, shape (features,); NaN where no number was seen.
        scale: Interquartile ranges as standard deviations, not 0, shape (features,).
    """

    def __init__(self, window: int, features: int) -> None:
        """Begins with nothing.

        Args:
            window: Rows that are remembered.
            features: Numbers in a row.
        """
        self._window = np.full((window, features), np.nan)
        self._seen = 0
        self.centre = np.full(features, np.nan)
        self.scale = np.ones(features)

    @property
    def until_turn(self) -> int:
        """Rows until medians are taken anew."""
        turn = FIRST_TURN
        while turn <= self._seen and turn < BLOCK:
            turn *= 2
        return turn - self._seen if self._seen < turn else BLOCK - self._seen % BLOCK

    @property
    def turned(self) -> bool:
        """Whether medians were taken anew after the last row."""
        return self._seen > 0 and (
            self._seen % BLOCK == 0 or self._seen in (FIRST_TURN, 2 * FIRST_TURN)
        )

    def score_and_learn(self, rows: Matrix, learned: npt.NDArray[np.bool_] | None = None) -> Scores:
        """Returns how far rows are from the medians, each before it is learned, shape (rows,).

        Args:
            rows: Shape (rows, features); NaN is missing, no infinities.
            learned: Which rows are learned; all if None.
        """
        scores = np.empty(len(rows))
        kept = rows if learned is None else np.where(learned[:, None], rows, np.nan)
        done = 0
        while done < len(rows):
            part = slice(done, done + self.until_turn)
            scores[part] = self.score(rows[part])
            self.learn(kept[part])
            done = part.stop
        return scores

    def score(self, rows: Matrix) -> Scores:
        """Returns the root mean square of the deviations of a row's numbers, shape (rows,)."""
        deviations = self.deviations(rows)
        there = ~np.isnan(deviations)
        squares = np.where(there, deviations, 0) ** 2
        return np.asarray(np.sqrt(squares.sum(1) / np.maximum(there.sum(1), 1)))

    def deviations(self, rows: Matrix) -> Matrix:
        """Returns distances to the medians in standard deviations, shape (rows, features).

        NaN where a number is missing or its feature has not been seen; at most a million.
        """
        with np.errstate(over="ignore"):
            distances = np.abs((rows - self.centre) / self.scale)
        return np.asarray(np.minimum(distances, _MOST_DEVIATIONS))

    def forget(self, numbers: npt.NDArray[np.int64]) -> None:
        """Takes rows of the stream, counted from 0, out of the window."""
        held = numbers[(numbers >= self._seen - len(self._window)) & (numbers < self._seen)]
        self._window[held % len(self._window)] = np.nan

    def recent_median(self, feature: int, row: int, most: int) -> float:
        """Returns the median of a feature's last numbers.

        Args:
            feature: Its index.
            row: The last of these rows, counted from 0, of a block that has just been learned.
            most: How many rows.
        """
        places = np.arange(max(row + 1 - most, 0), row + 1) % len(self._window)
        numbers = self._window[places, feature]
        numbers = numbers[~np.isnan(numbers)]
        return float(np.median(numbers)) if len(numbers) else float(self.centre[feature])

    def learn(self, rows: Matrix) -> None:
        """Learns rows, not more than `until_turn`, shape (rows, features)."""
        last = rows[-len(self._window) :]
        self._seen += len(rows)
        places = np.arange(self._seen - len(last), self._seen) % len(self._window)
        self._window[places] = last
        if self.turned:
            self._turn()

    def _turn(self) -> None:
        held = np.sort(self._window[: self._seen], axis=0)  # missing numbers come last
        last = np.maximum((~np.isnan(held)).sum(0) - 1, 0)
        features = np.arange(held.shape[1])

        def quantile(share: float) -> Scores:
            return np.asarray(held[np.rint(share * last).astype(np.int64), features])

        self.centre = quantile(0.5)
        # For a feature that never changed any change is large.
        self.scale = np.maximum(np.abs(self.centre) * _RELATIVE, _RELATIVE)
        for share, deviations in reversed(_SPANS):
            span = (quantile(1 - share) - quantile(share)) / deviations
            self.scale = np.where(span > 0, span, self.scale)
        self.scale = np.where(np.isnan(self.scale), 1.0, self.scale)

    def state(self) -> tuple[Arrays, dict[str, int]]:
        """Returns all that is needed to continue: arrays and numbers."""
        arrays: Arrays = {
            "window": self._window[: self._seen].copy(),
            "centre": self.centre.copy(),
            "scale": self.scale.copy(),
        }
        return arrays, {"window": len(self._window), "seen": self._seen}

    @classmethod
    def from_state(cls, arrays: Arrays, numbers: dict[str, int]) -> "Baseline":
        """Returns a baseline that goes on where `state` was taken."""
        held = np.asarray(arrays["window"])
        baseline = cls(int(numbers["window"]), held.shape[1])
        baseline._seen = int(numbers["seen"])
        baseline._window[: len(held)] = held
        baseline.centre = np.array(arrays["centre"], np.float64)
        baseline.scale = np.array(arrays["scale"], np.float64)
        return baseline
