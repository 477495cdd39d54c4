"""What a search has found, as others may know it."""

from collections.abc import Iterable

from common.scoring.outlier_uses import BASELINE
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.portfolio.known_set import KnownScore, KnownSet
from services.tuner.domain.portfolio.meta_features import meta_features
from services.tuner.domain.portfolio.regrets import regrets
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.library import Entry, Library
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.trials.trial import Candidate

MOST_KEPT = 40
"""Candidates of a search, the best first."""
_DIGITS = 3


def known_set(source: str, problem: Problem, metric: str, library: Library) -> KnownSet:
    """Returns what a search has found: what the data are like, and scores, nothing of the data.

    Args:
        source: Name of the search.
        problem: What was learned.
        metric: What it was judged by.
        library: All candidates; those that learn from others are left out.
    """
    told = {
        entry.candidate.number: regret
        for folds in range(1, library.fold_count + 1)
        for entry, regret in _compared(library, folds)
    }
    best = sorted(told, key=lambda number: told[number])[:MOST_KEPT]
    return KnownSet(
        source=source,
        kind=problem.kind,
        metric=metric,
        features=meta_features(problem),
        scores=tuple(
            KnownScore(
                family=library.entries[number].candidate.family,
                settings=_own_settings(problem, library.entries[number].candidate),
                regret=told[number],
                seconds=round(library.entries[number].seconds, _DIGITS),
            )
            for number in best
        ),
    )


def _compared(library: Library, folds: int) -> Iterable[tuple[Entry, float]]:
    """Returns candidates with so many folds, each with its regret on these."""
    rivals = [
        each
        for each in library.reached(folds)
        if each.candidate.use == BASELINE and not each.candidate.bases
    ]
    return zip(rivals, regrets([each.loss(folds) for each in rivals]), strict=True)


def _own_settings(problem: Problem, candidate: Candidate) -> Configuration:
    """Returns the settings that are not as usual: on other data usual ones may be others."""
    usual = {
        each.name: each.default for each in FAMILIES[candidate.family].space(problem).parameters
    }
    return {
        name: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
        for name, value in candidate.configuration.items()
        if value != usual.get(name)
    }
