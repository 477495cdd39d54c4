"""Measures families with settings on data sets, and goes on where it was interrupted."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from common.scoring.registry import metric_for
from deploy.portfolio.pool import Known
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.folds import fold_splits
from services.tuner.domain.portfolio.adapting import adapted
from services.tuner.domain.problem import Outputs, Problem
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.trials.hosting import TrialHost, discard
from services.tuner.domain.trials.trial import Candidate, TrialResult, TrialTask

PARTS = 3
"""Into so many the rows are split; a trial learns from all but one."""
_MEMORY_BYTES = 2 << 30
SEED = 0
_PATIENCE = 60.0


@dataclass(frozen=True)
class Measured:
    """What a trial gave.

    Attributes:
        name: Of the data set.
        family: Of models.
        settings: As in the pool.
        fold: Number of the part that it was judged on.
        loss: Infinite where it failed.
        seconds: What it took.
    """

    name: str
    family: str
    settings: Configuration
    fold: int
    loss: float
    seconds: float

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What is measured once."""
        return self.name, self.family, json.dumps(self.settings, sort_keys=True), self.fold


class RawResults:
    """A file with a line for each trial that ended."""

    def __init__(self, path: Path) -> None:
        """Reads what is known."""
        self._path = path
        path.with_suffix("").mkdir(parents=True, exist_ok=True)
        self.known = {each.key: each for each in self._read()}

    def outputs(self, measured: Measured) -> Path:
        """Returns the file of what a trial gave for the rows that it was judged on."""
        digest = hashlib.sha256(repr(measured.key).encode()).hexdigest()
        return self._path.with_suffix("") / f"{digest[:32]}.npy"

    def add(self, measured: Measured, outputs: Outputs | None) -> None:
        """Writes a line at once, and the outputs to a file of their own."""
        self.known[measured.key] = measured
        if outputs is not None:
            np.save(self.outputs(measured), outputs.astype(np.float32))
        with self._path.open("a") as file:
            file.write(json.dumps(measured.__dict__) + "\n")

    def _read(self) -> Iterator[Measured]:
        if not self._path.exists():
            return
        for line in self._path.read_text().splitlines():
            try:
                yield Measured(**json.loads(line))
            except (ValueError, TypeError):  # the build was interrupted while it wrote the line
                continue


@dataclass(frozen=True)
class Bounds:
    """What measuring may take.

    Attributes:
        trial_seconds: Of a trial.
        until: When it has to end, by the monotonic clock.
    """

    trial_seconds: float
    until: float

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.until - time.monotonic()


def missing_of(
    name: str, problem: Problem, pool: Sequence[Known], fold: int, results: RawResults
) -> list[Known]:
    """Returns what is not known yet; see `measure`."""
    return [
        (family, settings)
        for family, settings in pool
        if problem.kind in FAMILIES[family].kinds
        and not FAMILIES[family].fits(problem)
        and Measured(name, family, settings, fold, 0.0, 0.0).key not in results.known
    ]


def measure(
    name: str,
    problem: Problem,
    pool: Sequence[Known],
    fold: int,
    results: RawResults,
    bounds: Bounds,
) -> None:
    """Measures what is not known yet, until the time is over.

    Args:
        name: Of the data set.
        problem: Its rows.
        pool: What is measured, in order; what does not fit the problem is passed over.
        fold: On which part it is judged.
        results: What is known, and where more goes.
        bounds: Of the time.
    """
    missing = missing_of(name, problem, pool, fold, results)
    if not missing or bounds.left <= 0:
        return
    metric, splits = metric_for(problem.kind), fold_splits(problem, PARTS, SEED)
    with (
        TemporaryDirectory() as folder,
        TrialHost(problem, splits, metric, Path(folder), memory_bytes=_MEMORY_BYTES) as host,
    ):
        same: dict[tuple[str, str], TrialResult] = {}
        for number, (family, settings) in enumerate(missing):
            space = FAMILIES[family].space(problem)
            configuration = adapted(space, settings)
            key = family, space.key(configuration)
            if bounds.left <= 0:
                return
            if key not in same:
                candidate = Candidate(number, family, configuration)
                host.start(TrialTask(candidate, fold, 1.0, bounds.trial_seconds))
                result = host.wait(bounds.trial_seconds + _PATIENCE)
                if result is None:
                    return
                discard(result)
                same[key] = result
            results.add(_measured(name, family, settings, same[key]), same[key].outputs)


def _measured(name: str, family: str, settings: Configuration, result: TrialResult) -> Measured:
    # Of the processor, where it is known: the machine may do other things too.
    seconds = result.cpu_seconds or result.fit_seconds + result.predict_seconds
    return Measured(name, family, settings, result.task.fold, result.loss, round(seconds, 3))
