"""Which candidates become the forecaster, as far as there is time to learn them once more."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from common.scoring.metric import Metric
from services.tuner.domain.ensemble.final import pool_of
from services.tuner.domain.ensemble.selection import Ensemble
from services.tuner.domain.forecasting.families.family import ForecastFamily
from services.tuner.domain.forecasting.panel import SERIES, ForecastProblem
from services.tuner.domain.forecasting.weighing import weighted
from services.tuner.domain.search.library import Entry, Library

_CAUTION = 1.2
_USED_SHARE = 0.9


@dataclass(frozen=True)
class Costs:
    """How long the final forecasts of candidates will take.

    Attributes:
        families: By name.
        ratios: By window how many series there are for each that was judged.
    """

    families: Mapping[str, ForecastFamily]
    ratios: tuple[float, ...]

    def seconds(self, entry: Entry) -> float:
        """Returns how long a candidate takes, at most as far as its windows tell."""
        is_global = self.families[entry.candidate.family].is_global
        return _CAUTION * max(
            each.fit_seconds * (1.0 if is_global else self.ratios[each.task.fold])
            for each in entry.results
        )


def chosen_blend(
    problem: ForecastProblem,
    metric: Metric,
    library: Library,
    costs: Costs,
    close: float,
    seconds: float,
) -> Ensemble:
    """Returns the blend that is to be learned from everything.

    Args:
        problem: All rows.
        metric: What is to be made small.
        library: The candidates; one at least has all windows.
        costs: How long they take.
        close: When all has to be done, on `time.monotonic`.
        seconds: How long choosing may take.
    """
    entries = library.complete
    seconds = max(min(seconds, (close - time.monotonic()) / 4), 0.1)
    room = _USED_SHARE * max(close - time.monotonic() - seconds, 0.0)
    able = [each for each in entries if costs.seconds(each) <= room] or [
        min(entries, key=costs.seconds)
    ]
    results = {each.candidate.number: each.results for each in able}
    pool = pool_of(problem, metric, results, library.splits)
    return _within(weighted(pool, seconds), library, costs, room)


def _within(ensemble: Ensemble, library: Library, costs: Costs, room: float) -> Ensemble:
    """Returns the blend without what there is no time for; the weightiest always stays."""
    kept: dict[int, float] = {}
    for number in sorted(ensemble.weights, key=lambda each: -ensemble.weights[each]):
        spent = costs.seconds(library.entries[number])
        if not kept or spent <= room:
            kept[number] = ensemble.weights[number]
            room -= spent
    return with_weights(ensemble, kept)


def with_weights(ensemble: Ensemble, weights: Mapping[int, float]) -> Ensemble:
    """Returns a blend of other weights, which are made to sum up to 1."""
    total = sum(weights.values()) or 1.0
    return replace(ensemble, weights={each: found / total for each, found in weights.items()})


def costs_of(
    problem: ForecastProblem, library: Library, families: Mapping[str, ForecastFamily]
) -> Costs:
    """Returns how long candidates of a library take, from how many series its windows judge."""
    places = problem.features[SERIES].to_numpy()
    count = len(set(places.tolist()))
    judged = (len(set(places[each.judged].tolist())) for each in library.splits)
    return Costs(families, tuple(count / max(each, 1) for each in judged))
