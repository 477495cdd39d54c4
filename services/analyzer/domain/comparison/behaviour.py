"""How versions do on the same rows."""

from dataclasses import dataclass

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.changes import (
    RowChanges,
    agreements,
    class_changes,
    row_changes,
)
from services.analyzer.domain.comparison.differences import (
    Judgement,
    compare_metrics,
)
from services.analyzer.domain.comparison.statistics import row_differences
from services.analyzer.domain.comparison.summary import (
    Agreement,
    ClassChange,
    Difference,
    MetricValue,
    SliceChange,
)
from services.analyzer.domain.comparison.versions import Version, Versions
from services.analyzer.domain.metrics import RowScores
from services.analyzer.domain.slices import Slice, find_slices

_DRAWING = 0.3
_MOST_SLICES = 10


@dataclass(frozen=True)
class SliceChanges:
    """Slices that changed.

    Attributes:
        worse: Where the challenger does worse, the clearest first.
        better: Where it does better.
        notes: What was cut short.
    """

    worse: tuple[SliceChange, ...] = ()
    better: tuple[SliceChange, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChallengerBehaviour:
    """How a challenger does.

    Attributes:
        version: Which.
        differences: Of its metrics to the baseline's.
        judgement: How it does on the metric; None where it has none.
        rows: Rows that changed.
        classes: How classes changed; empty without classes.
        slices: Slices that changed.
    """

    version: Version
    differences: tuple[Difference, ...]
    judgement: Judgement | None
    rows: RowChanges
    classes: tuple[ClassChange, ...]
    slices: SliceChanges


@dataclass(frozen=True)
class BehaviourComparison:
    """How versions do.

    Attributes:
        versions: Those that could be compared.
        agreements: How far they predict the same.
        metrics: Of each of the versions; empty without a target.
        challengers: The others; empty without a target.
        notes: What is missing, or was cut short.
    """

    versions: Versions
    agreements: tuple[Agreement, ...]
    metrics: tuple[tuple[MetricValue, ...], ...] = ()
    challengers: tuple[ChallengerBehaviour, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> "BehaviourComparison":
        """See `PartResult`."""
        return self


def compare_behaviour(versions: Versions, budget: Budget) -> BehaviourComparison:
    """Returns how versions do on the rows: metrics, rows that changed, classes, slices."""
    usable, left_out = versions.usable
    notes = (*([versions.note] if versions.note else []), *left_out)
    alike = agreements(usable)
    if usable.sample.truth is None:
        missing = "The data has no target: what is told is how far the versions agree."
        return BehaviourComparison(usable, alike, notes=(*notes, missing))
    metrics = compare_metrics(usable, budget.share(_DRAWING))
    challengers = []
    for place, version in enumerate(usable.challengers):
        budget.check()
        slices = _slices(usable, version, budget.share(1 / (len(usable.challengers) - place)))
        challengers.append(
            ChallengerBehaviour(
                version,
                metrics.differences[place],
                metrics.judgements[place],
                row_changes(usable, version),
                class_changes(usable, version) if usable.task is Task.CLASSIFICATION else (),
                slices,
            )
        )
    cut = dict.fromkeys(note for each in challengers for note in each.slices.notes)
    all_notes = (*notes, *metrics.notes, *cut)
    return BehaviourComparison(usable, alike, metrics.values, tuple(challengers), all_notes)


def _slices(versions: Versions, challenger: Version, budget: Budget) -> SliceChanges:
    change = row_differences(versions.baseline.subject.row_scores, challenger.subject.row_scores)
    if not change.any():
        return SliceChanges()
    worse, notes = _found(versions, -change, budget.share(0.5))
    better, others = _found(versions, change, budget)
    return SliceChanges(
        tuple(_changed(each, -1) for each in worse),
        tuple(_changed(each, 1) for each in better),
        tuple(dict.fromkeys((*notes, *others))),
    )


def _found(
    versions: Versions, losses: RowScores, budget: Budget
) -> tuple[list[Slice], tuple[str, ...]]:
    """Returns slices on which the losses are above 0, and larger than elsewhere."""
    seed = versions.baseline.subject.settings.seed
    search = find_slices(losses, versions.sample, budget, seed=seed, most=_MOST_SLICES)
    return [each for each in search.slices if each.mean > 0], search.notes


def _changed(found: Slice, sign: int) -> SliceChange:
    """Returns a slice with differences of which larger is better."""
    return SliceChange(
        found.condition, found.rows, sign * found.mean, sign * found.elsewhere, found.p_value
    )
