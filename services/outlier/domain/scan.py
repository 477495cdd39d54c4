"""A scan: learns from a sample of a table what is usual, scores every row, marks the odd ones."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from services.outlier.domain.calibration import (
    UsualTail,
    automatic_threshold,
    contamination_threshold,
    false_discovery_threshold,
)
from services.outlier.domain.detector import Detector, Scores
from services.outlier.domain.ensemble import Ensemble, combined_scores
from services.outlier.domain.fitting import Budget, Fit, LeftOut, fit_ensemble
from services.outlier.domain.preparation import PreparationOptions
from services.outlier.domain.table import Table, draw_sample, sample_size

_MOST_FITTED_ROWS = 100_000


class Stage(StrEnum):
    """What a scan is doing."""

    READING = "reading"
    FITTING = "fitting"
    SCORING = "scoring"


Progress = Callable[[Stage, int, int], None]


class Marking(BaseModel):
    """From which score on rows are marked.

    Attributes:
        contamination: Share of the rows to mark; None to leave that to the scores.
        false_discovery_rate: Share of the marked rows that may be usual ones (Benjamini and
            Hochberg, 1995); None for no such bound. With neither, the distribution of the scores
            decides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contamination: float | None = Field(None, gt=0, le=0.5)
    false_discovery_rate: float | None = Field(None, gt=0, lt=1)


@dataclass(frozen=True)
class ScanOptions:
    """What a scan is asked for.

    Attributes:
        detectors: By name; None to choose by the data.
        preparation: How columns are prepared.
        marking: From which score on rows are marked.
        seed: Of everything that is random.
        seconds: About how long it may take.
    """

    detectors: dict[str, Detector] | None = None
    preparation: PreparationOptions = field(default_factory=PreparationOptions)
    marking: Marking = field(default_factory=Marking)
    seed: int = 0
    seconds: float = 600.0


@dataclass(frozen=True)
class ScanResult:
    """What a scan found; arrays of shape (rows,).

    Attributes:
        ensemble: The fitted detectors, which score later rows alike.
        scores: Larger is odder.
        ranks: 1 for the oddest row.
        marked: Whether the row is marked.
        left_out: Detectors that took no part, with the reason.
    """

    ensemble: Ensemble
    scores: Scores
    ranks: npt.NDArray[np.int64]
    marked: npt.NDArray[np.bool_]
    left_out: tuple[LeftOut, ...]

    @property
    def oddest(self) -> npt.NDArray[np.int64]:
        """Numbers of all rows, the oddest first."""
        order = np.empty(len(self.ranks), np.int64)
        order[self.ranks - 1] = np.arange(len(self.ranks))
        return order


def scan(table: Table, options: ScanOptions, progress: Progress) -> ScanResult:
    """Scans a table.

    Holds a sample, a batch and a few numbers of each row in memory.

    Args:
        table: The rows; read twice.
        options: What is asked for.
        progress: Told the stage and how many of how many rows are done; may raise to stop.

    Raises:
        UnfitError: There is nothing to tell rows apart by.
    """
    generator = np.random.default_rng(options.seed)
    rows = table.row_count
    budget = Budget(time.monotonic() + options.seconds, rows)
    size = sample_size(table.columns, rows, _MOST_FITTED_ROWS)
    sample = draw_sample(table, size, generator, lambda done: progress(Stage.READING, done, rows))
    progress(Stage.FITTING, 0, rows)
    fit = fit_ensemble(
        sample, table.columns, generator, budget, options.detectors, options.preparation
    )
    scores = _score_all(table, fit, progress)
    threshold = _threshold(scores, fit, options.marking)
    ensemble = Ensemble(fit.preparation, fit.members, fit.calibration, threshold)
    return ScanResult(ensemble, scores, _ranks(scores), scores > threshold, fit.left_out)


def _score_all(table: Table, fit: Fit, progress: Progress) -> Scores:
    scores = np.empty(table.row_count)
    done = 0
    for batch in table.batches():
        rows = fit.preparation.apply(batch)
        scores[done : done + batch.count] = combined_scores(fit.members, rows)
        done += batch.count
        progress(Stage.SCORING, done, table.row_count)
    return scores


def _threshold(scores: Scores, fit: Fit, marking: Marking) -> float:
    if marking.contamination is not None:
        return contamination_threshold(scores, marking.contamination)
    if marking.false_discovery_rate is not None:
        # Against the tail that usual rows have: the rows that calibrate hold anomalies as well, and
        # as many as are looked for, so that no row is rarer than these (Efron's empirical null). A
        # bound is promised, so all skewness counts as that of usual rows.
        usual = UsualTail.fit(scores, most_skewness=1.0).above(scores)
        return false_discovery_threshold(scores, usual, marking.false_discovery_rate)
    return automatic_threshold(scores)


def _ranks(scores: Scores) -> npt.NDArray[np.int64]:
    """Returns ranks from 1; of equal scores the earlier row comes first."""
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks
