"""From a problem and a budget to a model."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.scoring.metric import Metric
from common.scoring.registry import check_fits, level_of, metric_for
from services.tuner.domain.ensemble.final import Results, final_estimator, pool_of
from services.tuner.domain.ensemble.joining import Joined
from services.tuner.domain.ensemble.pool import Limits, Pool
from services.tuner.domain.ensemble.selection import Ensemble, choose_ensemble
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.folds import fold_count, fold_splits
from services.tuner.domain.pictures import told
from services.tuner.domain.portfolio.known_set import KnownSet
from services.tuner.domain.portfolio.ordering import first_candidates
from services.tuner.domain.portfolio.shipped import shipped_sets
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.earlier import NOTHING_EARLIER, Earlier
from services.tuner.domain.search.library import Entry, Library
from services.tuner.domain.search.loop import Search, fitting_families
from services.tuner.domain.search.mixing import Mixing
from services.tuner.domain.search.pacing import Pace
from services.tuner.domain.search.racing import is_clearly_better
from services.tuner.domain.search.sources import Sources
from services.tuner.domain.search.trial_loop import Watch, never, silent
from services.tuner.domain.trials.hosting import TrialHost
from services.tuner.domain.trials.trial import Split, TrialResult

_USUAL_BYTES, _ROOM = 256 << 20, 1.25
"""Of a model where nobody says how large it may be; or so many times that of the best candidate."""
_BLEND_SHARE, _HURRY_SECONDS = 0.03, 1.0


class NothingLearnedError(Exception):
    """No candidate has a score."""


@dataclass(frozen=True)
class Settings:
    """What a search may do.

    Attributes:
        seconds: The budget, everything included.
        metric: The metric or its name; empty for the usual one.
        memory_bytes: What each trial may hold beyond the data.
        concurrency: Trials at once.
        families: Names of families that may be tried; empty for all that fit.
        limits: Of the final model.
        seed: Of all chance.
        known: What is known of other data; None to know nothing of any, not even what is usually
            good.
        rows_to_predict: Rows that the final model predicts afterwards, within the budget.
    """

    seconds: float = 60.0
    metric: Metric | str = ""
    memory_bytes: int = 2 << 30
    concurrency: int = 1
    families: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    known: Sequence[KnownSet] | None = field(default_factory=shipped_sets, repr=False)
    rows_to_predict: int = 0


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        problem: What the candidates learned from: pictures are told in numbers.
        estimator: The final model, a classifier or regressor over the problem as it was given.
        metric: What was made small.
        ensemble: Its parts.
        library: All candidates.
        joined: What joined the ensemble from outside; None where nothing was there to join.
    """

    problem: Problem
    estimator: Any
    metric: Metric
    ensemble: Ensemble
    library: Library
    joined: Joined | None = None


def tune(
    problem: Problem,
    settings: Settings,
    folder: Path,
    watch: Watch = silent,
    is_stopped: Callable[[], bool] = never,
    earlier: Earlier = NOTHING_EARLIER,
) -> Tuned:
    """Returns the best model that is found within a budget.

    Args:
        problem: What is to be learned.
        settings: The budget and what may be tried.
        folder: Exists, and holds nothing else.
        watch: Told of every trial; may raise to stop.
        is_stopped: Asked again and again; once it says so, the best so far is returned within
            seconds.
        earlier: What is known already; nothing of it is fitted again.

    Raises:
        NothingLearnedError: No candidate has a score.
    """
    start = time.monotonic()
    metric = _metric_of(problem, settings)
    pictures = told(problem, settings.seed)
    problem = replace(pictures.problem, level=level_of(metric))
    parts = earlier.parts or fold_count(problem, settings.seconds)
    splits = fold_splits(problem, parts, settings.seed)
    library = Library(splits, parts)
    allowed = [each for each in FAMILIES.values() if _is_allowed(each.name, settings)]
    families, _ = fitting_families(problem, allowed)
    earlier.fill(library, list(families))
    pace = Pace(settings.seconds, len(splits), start)
    with TrialHost(
        problem,
        splits,
        metric,
        folder,
        memory_bytes=settings.memory_bytes,
        concurrency=settings.concurrency,
        seed=settings.seed,
    ) as host:
        first = first_candidates(problem, families, metric.name, settings.known)
        sources = Sources(problem, list(families.values()), settings.seed, first)
        sources.go_on(library, earlier.first)
        search = Search(
            host,
            library,
            watch,
            is_stopped,
            problem,
            families,
            sources,
            pace,
            settings.rows_to_predict,
            Mixing(problem, metric, library),
        )
        search.run(settings.concurrency)
    seconds = _HURRY_SECONDS if is_stopped() else _BLEND_SHARE * settings.seconds
    found = _blended(problem, metric, library, splits, settings, seconds, earlier.fetch)
    return replace(found, estimator=pictures.before(found.estimator))


def _metric_of(problem: Problem, settings: Settings) -> Metric:
    if isinstance(settings.metric, str):
        return metric_for(problem.kind, settings.metric)
    check_fits(settings.metric, problem.kind)
    return settings.metric


def _is_allowed(family: str, settings: Settings) -> bool:
    return not settings.families or family in settings.families


def _blended(
    problem: Problem,
    metric: Metric,
    library: Library,
    splits: Sequence[Split],
    settings: Settings,
    seconds: float,
    fetch: Callable[[TrialResult], None],
) -> Tuned:
    results = compared_results(library)
    pool = pool_of(problem, metric, results, splits)
    ensemble = choose_ensemble(pool, _bounded(settings.limits, pool), seconds, settings.seed)
    for each in (one for number in ensemble.weights for one in results[number]):
        fetch(each)
    estimator = final_estimator(problem, ensemble, results)
    return Tuned(problem, estimator, metric, ensemble, library)


def _bounded(limits: Limits, pool: Pool) -> Limits:
    """Returns limits where nobody has set any of bytes: many forests together are large."""
    if limits.bytes < math.inf:
        return limits
    best = pool.cost([int(np.argmin(pool.losses))]).bytes
    return replace(limits, bytes=max(_USUAL_BYTES, _ROOM * best))


def compared_results(library: Library) -> Results:
    """Returns the trials of the candidates that are compared in the end, by candidate.

    These are the complete ones, unless one that had no time for all folds is clearly better.
    """
    if not _usable(library, 1):
        raise NothingLearnedError("No candidate has a score: the budget is too small.")
    folds = next(
        folds
        for folds in range(library.fold_count, 0, -1)
        if _usable(library, folds) and _holds_best(library, folds)
    )
    return {each.candidate.number: each.results[:folds] for each in _usable(library, folds)}


def _usable(library: Library, folds: int) -> list[Entry]:
    """Returns the candidates that have so many folds, and whose estimators were kept."""
    return [each for each in library.reached(folds) if each.has_models]


def _holds_best(library: Library, folds: int) -> bool:
    """Whether none that has fewer folds is clearly better than the best with so many."""
    best = _usable(library, folds)[0]
    return folds == 1 or not any(is_clearly_better(each, best) for each in _usable(library, 1))
