"""What was measured, as what is known of sets of data."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from common.scoring.registry import metric_for
from deploy.portfolio.measuring import Measured
from services.tuner.domain.portfolio.known_set import KnownScore, KnownSet
from services.tuner.domain.portfolio.meta_features import meta_features
from services.tuner.domain.portfolio.regrets import regrets
from services.tuner.domain.problem import Problem

_DIGITS = 2


def known_sets(problems: Mapping[str, Problem], results: Iterable[Measured]) -> list[KnownSet]:
    """Returns what is known of each set that was measured.

    Args:
        problems: The rows of the sets by name.
        results: Of their trials.
    """
    by_set = defaultdict[str, list[Measured]](list)
    for each in results:
        by_set[each.name].append(each)
    return [
        KnownSet(
            source=name,
            kind=problem.kind,
            metric=metric_for(problem.kind).name,
            features=meta_features(problem),
            scores=tuple(_scores(by_set[name])),
        )
        for name, problem in problems.items()
        if by_set[name]
    ]


def _scores(results: Sequence[Measured]) -> Iterable[KnownScore]:
    """Yields a score of each candidate: its mean over the parts that it was judged on."""
    found = defaultdict[tuple[str, ...], list[tuple[Measured, float]]](list)
    for fold in sorted({each.fold for each in results}):
        own = [each for each in results if each.fold == fold]
        for each, regret in zip(own, regrets([each.loss for each in own]), strict=True):
            found[each.key[1:3]].append((each, regret))
    for trials in found.values():
        first = trials[0][0]
        yield KnownScore(
            family=first.family,
            settings=dict(first.settings),
            regret=round(float(np.mean([regret for _, regret in trials])), 4),
            seconds=round(float(np.mean([each.seconds for each, _ in trials])), _DIGITS),
        )
