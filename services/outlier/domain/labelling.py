"""Labels that are known of some rows before a scan, and how a scan learns from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows
from services.outlier.domain.calibration import Calibration
from services.outlier.domain.detector import (
    Generator,
    Matrix,
    Rows,
    UnfitError,
    concatenated_rows,
)
from services.outlier.domain.detectors.supervised import (
    ANOMALY,
    NORMAL,
    UNKNOWN,
    Labels,
    SemiSupervised,
    SemiSupervisedScorer,
)
from services.outlier.domain.ensemble import base_scores, combined_scores
from services.outlier.domain.fitting import (
    SEMI_SUPERVISED,
    Budget,
    Fit,
    LeftOut,
    Settled,
    reason_of,
)
from services.outlier.domain.learned import Learned
from services.outlier.domain.preparation import Preparation
from services.outlier.domain.table import RowNumbers

_MOST_OF_EACH = 10_000
_MOST_UNKNOWN = 5000
_LEAST_JUDGED = 100
_TRIED_ROWS = 1000
_TEACHER = SemiSupervised()


@dataclass(frozen=True)
class LabelledRows:
    """Raw rows with what is known of them.

    Attributes:
        raw: The rows.
        labels: 1 for anomalies, 0 for normal rows, -1 for unknown, shape (rows,).
    """

    raw: RawRows
    labels: Labels

    def take(self, chosen: RowNumbers | slice) -> "LabelledRows":
        """Returns some of the rows, by position."""
        return LabelledRows(self.raw.take(chosen), self.labels[chosen])


@dataclass(frozen=True)
class KnownLabels:
    """What is known before a scan.

    Attributes:
        of_table: Labels of the table's rows as in `LabelledRows`; None where it has none.
        elsewhere: Labelled rows that are not of the table, with its columns; None for none.
    """

    of_table: Labels | None = None
    elsewhere: LabelledRows | None = None

    @property
    def are_there(self) -> bool:
        """Whether anything is known at all."""
        return self.of_table is not None or self.elsewhere is not None

    def at(self, numbers: RowNumbers) -> Labels:
        """Returns the labels of some of the table's rows."""
        if self.of_table is None:
            return np.full(len(numbers), UNKNOWN, np.int8)
        return self.of_table[numbers]


@dataclass(frozen=True)
class LabelUse:
    """What a scan learned from labels; all 0 where they were not used.

    Attributes:
        anomalies: Rows labelled as anomalies that were learned from.
        normal: Rows labelled as normal that were learned from.
        share: Of the score that was learned, 0 to 1: as much as it helped with labels held out.
    """

    anomalies: int = 0
    normal: int = 0
    share: float = 0.0


def choose_labelled(labels: Labels | None, most: int, generator: Generator) -> RowNumbers:
    """Returns positions of labelled rows to learn from, at most so many.

    At most 10,000 of either kind are taken; anomalies come first, for they are few.
    """
    if labels is None:
        return np.zeros(0, np.int64)
    anomalies = _some(labels == ANOMALY, most, generator)
    return np.concatenate([anomalies, _some(labels == NORMAL, most - len(anomalies), generator)])


def learn_labels(
    fit: Fit,
    sample: LabelledRows,
    labelled: Sequence[LabelledRows],
    generator: Generator,
    budget: Budget,
    settled: Settled | None = None,
) -> tuple[Fit, LabelUse]:
    """Teaches a fitted ensemble what labels say, where that is a help.

    Args:
        fit: What was learned without labels.
        sample: The sample that it was learned from, in the same order.
        labelled: Labelled rows, as far as they are to be learned from.
        generator: The only source of randomness.
        budget: Leaves labels out where there is no time for them.
        settled: What an earlier attempt settled, to be repeated.

    Returns:
        The ensemble, which says in `left_out` where labels are of no use, and what they were
        used for.
    """
    if settled is not None and SEMI_SUPERVISED not in settled.members:
        return fit, LabelUse()
    try:
        lessons = _prepared(fit, sample, labelled)
        blend = _learn(fit, lessons, generator, None if settled else budget)
    except Exception as error:  # whatever a library raises: the scan goes on without labels
        if settled is not None:
            raise
        left_out = LeftOut(SEMI_SUPERVISED, reason_of(error))
        return replace(fit, left_out=(*fit.left_out, left_out)), LabelUse()
    judged = _judged(fit, sample)
    normalised = combined_scores(fit.members, judged)
    learned = Learned.of(blend, judged, base_scores(fit.members, judged), normalised)
    calibration = Calibration.fit(combined_scores(fit.members, judged, learned))
    anomalies, normal = ((lessons.labels == kind).sum() for kind in (ANOMALY, NORMAL))
    use = LabelUse(int(anomalies), int(normal), learned.share)
    return replace(fit, learned=learned, calibration=calibration), use


@dataclass(frozen=True)
class _Lessons:
    rows: Rows
    labels: Labels


def _prepared(fit: Fit, sample: LabelledRows, labelled: Sequence[LabelledRows]) -> _Lessons:
    """Returns rows with labels and some without; none of those that tell what a score means."""
    unknown = np.flatnonzero(sample.labels == UNKNOWN)
    unknown = unknown[unknown >= fit.held_out][:_MOST_UNKNOWN]
    pieces = [sample.take(unknown), *labelled]
    rows = [_prepare(fit.preparation, piece.raw) for piece in pieces]
    return _Lessons(concatenated_rows(rows), np.concatenate([piece.labels for piece in pieces]))


def _prepare(preparation: Preparation, raw: RawRows) -> Rows:
    missing = [column.name for column in preparation.columns if column.name not in raw.columns]
    if missing:
        raise UnfitError(f"Labelled rows have no column {missing[0]!r}. Give all that are scanned.")
    return preparation.apply(raw)


def _learn(
    fit: Fit, lessons: _Lessons, generator: Generator, budget: Budget | None
) -> SemiSupervisedScorer:
    """Returns what was learned.

    Raises:
        UnfitError: It is of no use, or there is no time for it.
    """
    base = base_scores(fit.members, lessons.rows)
    blend = _TEACHER.fit(lessons.rows, lessons.labels, base, generator)
    if not blend.share:
        raise UnfitError(
            "What is learned from the labels finds labelled anomalies no better than the detectors "
            "do without. Label more rows, above all anomalies that have low scores."
        )
    tried = slice(0, _TRIED_ROWS)
    if budget is not None and _is_late(blend, lessons.rows.take(tried), base[tried], fit, budget):
        raise UnfitError("there was no time left for it in the budget")
    return blend


def _is_late(
    blend: SemiSupervisedScorer, rows: Rows, base: Matrix, fit: Fit, budget: Budget
) -> bool:
    began = budget.clock()
    blend.score(rows, base)
    seconds = (budget.clock() - began) / rows.count * budget.rows
    return budget.left < fit.seconds + seconds


def _judged(fit: Fit, sample: LabelledRows) -> Rows:
    """Returns rows that tell what a score means: where they are enough, none that taught."""
    count = fit.held_out or sample.raw.count
    unknown = np.flatnonzero(sample.labels[:count] == UNKNOWN)
    chosen = unknown if len(unknown) >= _LEAST_JUDGED else np.arange(count)
    return fit.preparation.apply(sample.raw.take(chosen))


def _some(wanted: npt.NDArray[np.bool_], most: int, generator: Generator) -> RowNumbers:
    """Returns positions of wanted rows, ascending; chosen at random where they are too many."""
    found = np.flatnonzero(wanted)
    count = min(len(found), most, _MOST_OF_EACH)
    return np.sort(generator.choice(found, count, replace=False)) if count else found[:0]
