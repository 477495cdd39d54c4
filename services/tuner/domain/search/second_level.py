"""A second level of candidates: they learn from the outputs of those that a blend is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.models.estimators.stacking import StackedColumns
from services.tuner.domain.ensemble.final import pool_of
from services.tuner.domain.ensemble.selection import choose_ensemble
from services.tuner.domain.ensemble.stacking import chosen_bases, stacked_columns
from services.tuner.domain.metrics.metric import Metric
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.pacing import Pace
from services.tuner.domain.trials.hosting import TrialHost
from services.tuner.domain.trials.trial import Split

_AFTER_SHARE = 0.55
_LEAST_SECONDS = 20.0
_LEAST_ROWS = 1_000
_LEAST_CANDIDATES = 3
_CHOICE_SHARE = 0.01


@dataclass
class SecondLevel:
    """Begins once, when the first level has had its share of the time.

    Attributes:
        problem: What is to be learned.
        metric: What is made small.
        splits: The folds.
        host: Is told of the outputs.
        columns: What candidates of this level learn from; empty before it has begun.
    """

    problem: Problem
    metric: Metric
    splits: Sequence[Split]
    host: TrialHost
    columns: StackedColumns | None = field(default=None, init=False)

    def is_due(self, library: Library, pace: Pace) -> bool:
        """Whether it should begin now: in small tables it would learn from chance."""
        return (
            self.columns is None
            and self.problem.row_count >= _LEAST_ROWS
            and pace.seconds >= _LEAST_SECONDS
            and pace.share >= _AFTER_SHARE
            and len(self.splits) > 1
            and len(library.complete) >= _LEAST_CANDIDATES
        )

    def begin(self, library: Library, pace: Pace) -> tuple[int, ...]:
        """Makes the outputs of the best blend known to trials; returns numbers of its members."""
        results = {each.candidate.number: each.results for each in library.complete}
        pool = pool_of(self.problem, self.metric, results, self.splits)
        ensemble = choose_ensemble(pool, seconds=_CHOICE_SHARE * pace.seconds)
        bases = chosen_bases(ensemble.weights)
        self.columns = stacked_columns(pool, bases)
        for number in bases:
            outputs = library.all_outputs(library.entries[number])
            self.host.add_features(number, self.columns.values(outputs))
        return bases
