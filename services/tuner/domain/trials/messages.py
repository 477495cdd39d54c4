"""What the search and the host of its trials tell each other, and where files lie."""

from dataclasses import dataclass
from pathlib import Path

from common.scoring.metric import Metric
from services.tuner.domain.trials.trial import Split, TrialResult, TrialTask


@dataclass(frozen=True)
class TrialFiles:
    """Names of files in the folder that the search and its host share."""

    folder: Path

    @property
    def setup(self) -> Path:
        """A `TrialSetup`, pickled."""
        return self.folder / "setup.pickle"

    def outputs(self, number: int) -> Path:
        """Outputs of a trial for its judged rows."""
        return self.folder / f"trial-{number}.npy"

    def model(self, number: int) -> Path:
        """The estimator that a trial fitted, pickled."""
        return self.folder / f"trial-{number}.model"

    def result(self, number: int) -> Path:
        """What a trial says of itself at its end: a `TrialResult` without outputs, pickled."""
        return self.folder / f"trial-{number}.result"

    def clear(self, number: int) -> None:
        """Removes the files of a trial."""
        for path in (self.outputs(number), self.model(number), self.result(number)):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class TrialSetup:
    """What all trials of a search have in common, the problem aside.

    Attributes:
        splits: The folds.
        metric: What says how good they are.
        seed: Of all chance.
        memory_bytes: What the process of a trial may hold beyond what it began with.
    """

    splits: tuple[Split, ...]
    metric: Metric
    seed: int
    memory_bytes: int


@dataclass(frozen=True)
class Load:
    """To the host: problem and setup are in the folder now."""

    folder: Path


@dataclass(frozen=True)
class Order:
    """To the host: a trial is to begin.

    Attributes:
        number: Unique in a search.
        task: What is to be fitted.
    """

    number: int
    task: TrialTask


@dataclass(frozen=True)
class Cancel:
    """To the host: a trial is to end without a result."""

    number: int


@dataclass(frozen=True)
class Ready:
    """From the host: it has imported and read everything."""


@dataclass(frozen=True)
class Finished:
    """From the host: a trial ended; its outputs are in their file."""

    number: int
    result: TrialResult
