"""What the page of a search shows, worked out once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aimass.tuner.v1 import tuner_pb2
from common.models.estimators.combining import tilted
from common.reports.report import Notice
from services.tuner.domain.ensemble.final import pool_of
from services.tuner.domain.ensemble.judging import judge
from services.tuner.domain.ensemble.pool import Pool
from services.tuner.domain.ensemble.selection import ensemble_outputs
from services.tuner.domain.families.family import Family
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.history import History
from services.tuner.domain.problem import Outputs, Problem, ProblemKind
from services.tuner.domain.search.library import FLOOR, Entry
from services.tuner.domain.search.loop import fitting_families
from services.tuner.domain.search.tuning import Settings, Tuned
from services.tuner.domain.space.space import Space

_MOST_JUDGED = 150


@dataclass(frozen=True)
class Facts:
    """What the page says that the search does not know.

    Attributes:
        title: Of the page.
        settings: Of the search.
        target: What is predicted, for people.
        lineage: What went in, what came of it: a word and a resource name each.
        notices: What else readers should know first, for instance of the data.
        note: What else is to be said of the search, in sentences; may be empty.
        test_score: Of rows put aside from the start, as people know the metric; None for none.
        comparison: With the champion on these rows; None where there was none.
        outliers: What the marks of an outlier scan were worth; None where there was none.
    """

    title: str
    settings: Settings
    target: str = ""
    lineage: Sequence[tuple[str, str]] = ()
    notices: Sequence[Notice] = ()
    note: str = ""
    test_score: float | None = None
    comparison: tuner_pb2.Comparison | None = None
    outliers: tuner_pb2.OutlierOutcome | None = None


@dataclass(frozen=True)
class Floor:
    """What anybody would try first.

    Attributes:
        entry: The candidate.
        loss: On the same rows as the model; None where it was not completed.
        error: Standard error of the difference to the model's loss.
    """

    entry: Entry
    loss: float | None
    error: float


@dataclass(frozen=True)
class Evidence:
    """What is shown.

    Attributes:
        problem: What was learned.
        tuned: What was found.
        history: What happened when.
        facts: What the search does not know.
        folds: How many folds the model is made of.
        pool: The parts of the model and the rows that they were judged on.
        outputs: Of the model for these rows, out of fold.
        losses: Of the candidates on these rows, by number.
        floors: What anybody would try first.
        families: Those that may be tried, by name.
        left_out: Why others were not, by name.
        spaces: Settings of the families that may be tried, by name.
    """

    problem: Problem
    tuned: Tuned
    history: History
    facts: Facts
    folds: int
    pool: Pool
    outputs: Outputs
    losses: Mapping[int, float]
    floors: tuple[Floor, ...]
    families: Mapping[str, Family]
    left_out: Mapping[str, str]
    spaces: Mapping[str, Space]

    @property
    def entries(self) -> list[Entry]:
        """All candidates that have begun or failed."""
        found = self.tuned.library.entries.values()
        return [each for each in found if each.folds or each.failure is not None]

    @property
    def compared(self) -> list[Entry]:
        """The candidates that have as many folds as the model, the best first."""
        return sorted(self.tuned.library.reached(self.folds), key=self.loss)

    @property
    def best_floor(self) -> Floor | None:
        """The best of what anybody would try first; None where none was completed."""
        done = [each for each in self.floors if each.loss is not None]
        return min(done, key=lambda each: each.loss or 0.0, default=None)

    def loss(self, entry: Entry) -> float:
        """Returns the loss of a candidate on the rows of the model."""
        return self.losses.get(entry.candidate.number, entry.loss(self.folds))

    def shown(self, loss: float) -> float:
        """Returns a loss as people know it."""
        return self.tuned.metric.shown(loss)

    def decisions(self) -> npt.NDArray[np.int64]:
        """Returns the class of each row, (rows,), or 1 for each label that is there."""
        kind, tilts = self.problem.kind, self.tuned.ensemble.tilts
        outputs = self.outputs
        if tilts is not None:
            outputs = tilted(outputs, tilts, kind is not ProblemKind.MULTI_LABEL)
        if kind is ProblemKind.MULTI_LABEL:
            return (outputs >= 0.5).astype(np.int64)
        return np.asarray(outputs.argmax(axis=1), np.int64)


def gathered(
    problem: Problem,
    tuned: Tuned,
    history: History,
    facts: Facts,
    known: Mapping[str, Family] = FAMILIES,
) -> Evidence:
    """Returns what the page shows.

    Args:
        problem: What was learned.
        tuned: What was found.
        history: What happened when.
        facts: What the search does not know.
        known: All families that there are, by name.
    """
    library, members = tuned.library, tuned.ensemble.weights
    folds = min(library.entries[number].folds for number in members)
    pool = _pool(problem, tuned, members, folds)
    outputs = ensemble_outputs(pool, tuned.ensemble)
    floors = [each for each in library.entries.values() if each.origin == FLOOR]
    wanted = {each.candidate.number for each in library.reached(folds)[:_MOST_JUDGED]}
    wanted |= {*members, *(each.candidate.number for each in floors if each.folds >= folds)}
    losses = {each: float(_pool(problem, tuned, [each], folds).losses[0]) for each in wanted}
    families, left_out = _families(problem, facts.settings, known)
    return Evidence(
        problem=problem,
        tuned=tuned,
        history=history,
        facts=facts,
        folds=folds,
        pool=pool,
        outputs=outputs,
        losses=losses,
        floors=tuple(_floor(problem, tuned, each, folds, outputs) for each in floors),
        families=families,
        left_out=left_out,
        spaces={name: each.space(problem) for name, each in families.items()},
    )


def _pool(problem: Problem, tuned: Tuned, numbers: Iterable[int], folds: int) -> Pool:
    library = tuned.library
    results = {number: library.entries[number].results[:folds] for number in numbers}
    return pool_of(problem, tuned.metric, results, library.splits)


def _floor(problem: Problem, tuned: Tuned, entry: Entry, folds: int, outputs: Outputs) -> Floor:
    if entry.folds < folds:
        return Floor(entry, None, float("inf"))
    pool = _pool(problem, tuned, [entry.candidate.number], folds)
    own = judge(pool, np.asarray(pool.outputs[0], np.float64))
    return Floor(entry, own.loss, judge(pool, outputs).gain_error(own))


def _families(
    problem: Problem, settings: Settings, known: Mapping[str, Family]
) -> tuple[dict[str, Family], dict[str, str]]:
    families, left_out = fitting_families(problem, list(known.values()))
    wanted = settings.families or tuple(families)
    for name in list(families):
        if name not in wanted:
            del families[name]
            left_out[name] = "The search was not to try it."
    return families, left_out
