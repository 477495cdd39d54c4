"""An online detector: scores, marks and learns rows as they come, beginning with nothing."""

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from services.outlier.domain.detector import Matrix, Scores, UnfitError
from services.outlier.domain.keeping import DamagedError
from services.outlier.domain.streaming.baseline import FIRST_TURN, Baseline
from services.outlier.domain.streaming.drift import Drift, DriftMonitor
from services.outlier.domain.streaming.feedback import Feedback
from services.outlier.domain.streaming.half_space_trees import HalfSpaceTrees, StreamingTrees
from services.outlier.domain.streaming.reference import Reference

Arrays = dict[str, npt.NDArray[np.generic]]
Numbers = dict[str, float | int | str]
Flags = npt.NDArray[np.bool_]

_TREES, _BASELINE = 0, 1
_LARGEST = 1e150  # its square is finite
_PARTS = ("trees", "baseline", "monitor", "feedback", "reference")
_MARKING_FROM = 64


class Online(BaseModel):
    """Parameters of online detection."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trees: HalfSpaceTrees = Field(default_factory=HalfSpaceTrees)
    """The half-space trees, whose window is how fast they forget."""
    memory: int = Field(256, ge=192, le=10_000)
    """Rows over which medians and scales of features are taken."""
    recent: int = Field(1024, ge=128, le=100_000)
    """Last rows whose scores say what a score means now."""
    false_alarms: float = Field(0.001, gt=0, le=0.1)
    """Share of usual rows that are marked, at most about so many."""
    drift_delta: float = Field(0.002, gt=0, lt=1)
    """How willingly drift is reported: chance of a false alarm at one cut."""
    seed: int = Field(0, ge=0, lt=2**53)
    """Of the random trees."""

    def start(self, features: int) -> "OnlineDetector":
        """Returns a detector that has seen nothing, for rows of so many numbers."""
        return OnlineDetector(self, features)


@dataclass(frozen=True)
class OnlineScores:
    """What a detector says of a batch; arrays of shape (rows,).

    Attributes:
        first: Number of the batch's first row in the stream, from 0.
        scores: Larger is odder; 0 is usual, 1 an interquartile range above.
        p_values: Conformal: the share of the last rows that are as odd.
        probabilities: That rows as odd as this are anomalies, 0 to 1.
        marked: Whether the score was above the threshold.
        threshold: As it is after the batch.
        drifts: Changes noticed in the batch, by row.
    """

    first: int
    scores: Scores
    p_values: Scores
    probabilities: Scores
    marked: Flags
    threshold: float
    drifts: tuple[Drift, ...]


class OnlineDetector:
    """Half-space trees and a robust baseline together, on one stream of rows.

    Each row is scored before it is learned. What is said of rows does not depend on how the stream
    is cut into batches: what scores mean is taken anew after every 64 rows of the stream, from all
    recent rows, marked or not; it is the middle of their scores that tells the threshold, so
    neither do anomalies raise it nor does marking lower it.
    """

    def __init__(self, options: Online, features: int) -> None:
        """Begins with nothing.

        Args:
            options: Parameters.
            features: Numbers in a row.

        Raises:
            UnfitError: There are no features.
        """
        self.options = options
        self.features = features
        self._seen = 0
        self._trees = options.trees.start(features, np.random.default_rng(options.seed))
        self._baseline = Baseline(options.memory, features)
        self._monitor = DriftMonitor(features, options.drift_delta, options.memory)
        self._feedback = Feedback(features, 2)
        self._parts = np.full((options.recent, 2), np.nan)
        self._reference: Reference | None = None

    @property
    def seen(self) -> int:
        """Rows of the stream so far."""
        return self._seen

    @property
    def threshold(self) -> float:
        """Rows with a larger score are marked; infinite before there are enough rows."""
        if self._reference is None or self._seen < _MARKING_FROM:
            return np.inf
        return self._reference.threshold

    def process(self, rows: Matrix) -> OnlineScores:
        """Scores and marks the next rows of the stream, and learns them.

        Args:
            rows: Shape (rows, features); NaN is missing.

        Raises:
            UnfitError: The rows have another number of features.
        """
        rows = self._checked(rows)
        first, done = self._seen, 0
        said = np.zeros((3, len(rows)))
        marked = np.zeros(len(rows), np.bool_)
        drifts: list[Drift] = []
        while done < len(rows):
            part = slice(done, done + self._baseline.until_turn)
            said[:, part], marked[part], noticed = self._process_part(rows[part])
            drifts.extend(noticed)
            done = part.stop
        return OnlineScores(first, said[0], said[1], said[2], marked, self.threshold, tuple(drifts))

    def learn_labels(
        self, rows: Matrix, anomalous: Flags, numbers: npt.NDArray[np.int64] | None = None
    ) -> None:
        """Takes feedback: rows like these are scored accordingly, and the threshold moves.

        Args:
            rows: Labelled rows, shape (rows, features); NaN is missing.
            anomalous: Whether each is an anomaly, shape (rows,).
            numbers: Which rows of the stream they were, from 0, or -1; shape (rows,). Anomalies
                that were learned lately are taken back out of what is usual.

        Raises:
            UnfitError: The rows have another number of features, or not a label each.
        """
        rows = self._checked(rows)
        numbers = np.full(len(rows), -1, np.int64) if numbers is None else numbers
        if not len(rows) == len(anomalous) == len(numbers):
            raise UnfitError("each labelled row needs one label and one number")
        self._forget(rows[anomalous], numbers[anomalous])
        self._feedback.add(rows, anomalous, self._judge(rows))
        self._turn()

    def deviations(self, rows: Matrix) -> Matrix:
        """Returns why rows are odd: distances of their numbers to the running medians.

        Args:
            rows: Shape (rows, features); NaN is missing.

        Returns:
            In robust standard deviations, shape (rows, features), NaN where there is no number.
        """
        return self._baseline.deviations(self._checked(rows))

    def _process_part(self, rows: Matrix) -> tuple[Matrix, Flags, tuple[Drift, ...]]:
        """Processes rows up to the next turn; returns scores, p-values and probabilities."""
        first, threshold = self._seen, self.threshold
        parts = np.stack([self._trees.score_and_learn(rows), self._baseline_scores(rows)], axis=1)
        parts[np.arange(first, first + len(rows)) < self._trees.ready_from, _TREES] = np.nan
        said, combined = self._say(rows, parts)
        self._monitor.look_again(first, self._baseline)
        self._baseline.learn(rows)
        drifts = self._monitor.update(first, rows, combined, self._baseline)
        self._seen += len(rows)
        last = parts[-len(self._parts) :]
        places = np.arange(self._seen - len(last), self._seen) % len(self._parts)
        self._parts[places] = last
        if self._baseline.turned:
            self._turn()
        return said, said[0] > threshold, drifts

    def _say(self, rows: Matrix, parts: Matrix) -> tuple[Matrix, Scores]:
        """Returns scores, p-values and probabilities, and scores as they are without labels."""
        said = np.stack([np.zeros(len(rows)), np.ones(len(rows)), np.zeros(len(rows))])
        reference = self._reference
        if reference is None:
            return said, np.full(len(rows), np.nan)
        combined = reference.combine(parts)
        said[0] = self._feedback.adjust(combined, rows, self._baseline, reference.threshold)
        said[1] = reference.calibration.p_values(said[0])
        said[2] = reference.calibration.probabilities(said[0])
        return said, combined

    def _baseline_scores(self, rows: Matrix) -> Scores:
        if self._seen < FIRST_TURN:
            return np.full(len(rows), np.nan)
        return self._baseline.score(rows)

    def _judge(self, rows: Matrix) -> Matrix:
        """Returns what the detectors say of rows, without learning them."""
        parts = np.stack([self._trees.score(rows), self._baseline_scores(rows)], axis=1)
        if not self._trees.ready:
            parts[:, _TREES] = np.nan
        return parts

    def _forget(self, rows: Matrix, numbers: npt.NDArray[np.int64]) -> None:
        held = (numbers >= max(self._seen - len(self._parts), 0)) & (numbers < self._seen)
        held[held] = ~np.isnan(self._parts[numbers[held] % len(self._parts), _BASELINE])
        self._trees.forget(rows[held], numbers[held])
        self._baseline.forget(numbers[held])
        self._parts[numbers[held] % len(self._parts)] = np.nan

    def _turn(self) -> None:
        """Takes anew what scores mean."""
        parts = self._parts[: self._seen]
        self._reference = Reference.fit(parts, self._feedback, self.options.false_alarms)

    def _checked(self, rows: Matrix) -> Matrix:
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise UnfitError(
                f"rows of {self.features} numbers are expected, these are {rows.shape[1:]}"
            )
        return np.clip(np.ascontiguousarray(rows, np.float64), -_LARGEST, _LARGEST)

    def state(self) -> tuple[Arrays, Numbers]:
        """Returns all that is needed to continue: arrays, and numbers and texts, by name."""
        reference = {} if self._reference is None else self._reference.state()
        parts: dict[str, tuple[Arrays, object]] = {
            "trees": self._trees.state(),
            "baseline": self._baseline.state(),
            "monitor": self._monitor.state(),
            "feedback": (self._feedback.state(), {}),
            "reference": (reference, {}),
        }
        arrays: Arrays = {"parts": self._parts[: self._seen].copy()}
        numbers: Numbers = {"seen": self._seen, "options": self.options.model_dump_json()}
        for name, (own, values) in parts.items():
            arrays |= {f"{name}/{key}": array for key, array in own.items()}
            numbers[name] = json.dumps(values)
        return arrays, numbers

    @classmethod
    def from_state(cls, arrays: Arrays, numbers: Numbers) -> "OnlineDetector":
        """Returns a detector that goes on exactly where `state` was taken.

        Raises:
            DamagedError: The state is not what `state` gave.
        """
        try:
            return cls._restored(arrays, numbers)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise DamagedError(f"the online detector cannot go on: {error!r}") from error

    @classmethod
    def _restored(cls, arrays: Arrays, numbers: Numbers) -> "OnlineDetector":
        def own(name: str) -> Arrays:
            start = f"{name}/"
            return {key[len(start) :]: arrays[key] for key in arrays if key.startswith(start)}

        plain = {name: json.loads(str(numbers[name])) for name in _PARTS}
        options = Online.model_validate_json(str(numbers["options"]))
        baseline = Baseline.from_state(own("baseline"), plain["baseline"])
        detector = cls(options, len(baseline.centre))
        detector._seen = int(numbers["seen"])
        detector._parts[: len(arrays["parts"])] = arrays["parts"]
        detector._trees = StreamingTrees.from_state(options.trees, own("trees"), plain["trees"])
        detector._baseline = baseline
        detector._monitor = DriftMonitor.from_state(own("monitor"), plain["monitor"])
        detector._feedback = Feedback.from_state(own("feedback"))
        if own("reference"):
            detector._reference = Reference.from_state(own("reference"))
        return detector
