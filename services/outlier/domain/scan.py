"""A scan: learns from a sample of a table what is usual, scores every row, marks the odd ones."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import threadpool_limits

from common.data.rows import RawRows
from services.outlier.domain.calibration import (
    UsualTail,
    automatic_threshold,
    contamination_threshold,
    false_discovery_threshold,
)
from services.outlier.domain.detector import Detector, Generator, Scores, UnfitError
from services.outlier.domain.detectors.supervised import ANOMALY
from services.outlier.domain.detectors.trees import THREADS
from services.outlier.domain.ensemble import Ensemble, combined_scores
from services.outlier.domain.fitting import Budget, Fit, LeftOut, Settled, fit_ensemble
from services.outlier.domain.kept import KeptDetector, UsualRows
from services.outlier.domain.labelling import (
    KnownLabels,
    LabelledRows,
    LabelUse,
    choose_labelled,
    learn_labels,
)
from services.outlier.domain.preparation import PreparationOptions
from services.outlier.domain.table import RowNumbers, Table, draw_numbers, read_rows, sample_size

_MOST_FITTED_ROWS = 100_000
_MOST_LABELLED_ROWS = 20_000
_USUAL = 0.9  # share of the sample among which usual rows are


class Stage(StrEnum):
    """What a scan is doing."""

    READING = "reading"
    FITTING = "fitting"
    SCORING = "scoring"
    EXPLAINING = "explaining"


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
        detector: What was learned, which scores and explains later rows alike.
        scores: Larger is odder.
        ranks: 1 for the oddest row.
        marked: Whether the row is marked.
        left_out: Detectors that took no part, with the reason.
        labels: What known labels were used for.
    """

    detector: KeptDetector
    scores: Scores
    ranks: npt.NDArray[np.int64]
    marked: npt.NDArray[np.bool_]
    left_out: tuple[LeftOut, ...]
    labels: LabelUse

    @property
    def ensemble(self) -> Ensemble:
        """The fitted detectors."""
        return self.detector.ensemble

    @property
    def oddest(self) -> npt.NDArray[np.int64]:
        """Numbers of all rows, the oddest first."""
        order = np.empty(len(self.ranks), np.int64)
        order[self.ranks - 1] = np.arange(len(self.ranks))
        return order


def scan(
    table: Table,
    options: ScanOptions,
    progress: Progress,
    known: KnownLabels | None = None,
    settled: Settled | None = None,
    settle: Callable[[Settled], None] = lambda settled: None,
) -> ScanResult:
    """Scans a table.

    Holds a sample, a batch and a few numbers of each row in memory. Of the same table and options
    the result is the same to the last bit, on any number of threads, but for one thing: which
    detectors take part may depend on the time that there is. It is the same as in another attempt
    with what that one settled.

    Args:
        table: The rows; read twice.
        options: What is asked for.
        progress: Told the stage and how many of how many rows are done; may raise to stop.
        known: Labels that are known, to learn from.
        settled: What an earlier attempt settled, to be repeated.
        settle: Told what takes part as soon as that is certain, before rows are scored.

    Raises:
        UnfitError: There is nothing to tell rows apart by.
    """
    # Sums in another order differ in their last digits, and with these the ranks of like rows.
    with threadpool_limits(1):
        return _scan(table, options, progress, known or KnownLabels(), settled, settle)


def _scan(
    table: Table,
    options: ScanOptions,
    progress: Progress,
    known: KnownLabels,
    settled: Settled | None,
    settle: Callable[[Settled], None],
) -> ScanResult:
    _check(table)
    generator, teaching = (np.random.default_rng((options.seed, use)) for use in range(2))
    budget = Budget(time.monotonic() + options.seconds, table.row_count)
    sample = _read_sample(table, known, generator, teaching, progress)
    progress(Stage.FITTING, 0, table.row_count)
    fit = fit_ensemble(
        sample.rows.raw,
        table.columns,
        generator,
        budget,
        options.detectors,
        options.preparation,
        settled,
    )
    use = LabelUse()
    if known.are_there:
        fit, use = learn_labels(fit, sample.rows, sample.labelled, teaching, budget, settled)
    settle(fit.settled)
    scores = _score_all(table, fit, progress)
    threshold = _threshold(scores, options.marking)
    ensemble = Ensemble(fit.preparation, fit.members, fit.calibration, threshold, fit.learned)
    detector = KeptDetector(ensemble, _usual(sample, scores, ensemble))
    return ScanResult(detector, scores, _ranks(scores), scores > threshold, fit.left_out, use)


def _check(table: Table) -> None:
    if table.row_count < 2:
        raise UnfitError("there must be at least two rows")
    if not table.columns:
        raise UnfitError("there are no columns to tell rows apart by")


@dataclass(frozen=True)
class _Sample:
    """What a scan learns from.

    Attributes:
        numbers: Of the rows of the sample in the table.
        rows: The sample, in random order.
        labelled: Labelled rows, from the table and from elsewhere.
    """

    numbers: RowNumbers
    rows: LabelledRows
    labelled: tuple[LabelledRows, ...]


def _read_sample(
    table: Table, known: KnownLabels, generator: Generator, teaching: Generator, progress: Progress
) -> _Sample:
    rows = table.row_count
    numbers = draw_numbers(rows, sample_size(table.columns, rows, _MOST_FITTED_ROWS), generator)
    # Labelled rows lie beside the sample: among it they would be more than there are in the data.
    most = sample_size(table.columns, rows, _MOST_LABELLED_ROWS)
    wanted = np.concatenate([numbers, choose_labelled(known.of_table, most, teaching)])
    raw = read_rows(table, wanted, lambda done: progress(Stage.READING, done, rows))
    found = LabelledRows(raw, known.at(wanted))
    labelled = [found.take(slice(len(numbers), None))]
    if known.elsewhere is not None:
        some = choose_labelled(known.elsewhere.labels, _MOST_LABELLED_ROWS, teaching)
        labelled.append(known.elsewhere.take(some))
    return _Sample(numbers, found.take(slice(0, len(numbers))), tuple(labelled))


def _usual(sample: _Sample, scores: Scores, ensemble: Ensemble) -> UsualRows:
    """Keeps rows of the sample that are neither marked, nor among the oddest, nor known as odd."""
    found = scores[sample.numbers]
    limit = min(ensemble.threshold, float(np.quantile(found, _USUAL)))
    unsuspected = sample.rows.labels != ANOMALY
    usual = np.flatnonzero((found <= limit) & unsuspected)
    if not len(usual):
        usual = np.argsort(found, kind="stable")[:1]
    raw = sample.rows.raw.take(usual)
    return UsualRows.of(ensemble.preparation, raw, sample.numbers[usual])


def _score_all(table: Table, fit: Fit, progress: Progress) -> Scores:
    def score(part: RawRows) -> Scores:
        return combined_scores(fit.members, fit.preparation.apply(part), fit.learned)

    scores = np.empty(table.row_count)
    done = 0
    # Parts have a size of their own, so that scores do not depend on the number of threads.
    with ThreadPoolExecutor(THREADS, initializer=threadpool_limits, initargs=(1,)) as threads:
        for batch in table.batches():
            found = threads.map(score, batch.parts(fit.preparation.rows_at_once))
            scores[done : done + batch.count] = np.concatenate(list(found))
            done += batch.count
            progress(Stage.SCORING, done, table.row_count)
    return scores


def _threshold(scores: Scores, marking: Marking) -> float:
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
