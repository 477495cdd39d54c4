"""Which candidates get another fold."""

import math

import numpy as np

from services.tuner.domain.search.library import FLOOR, OUTLIERS, REPEATED, Entry, Library

_ALWAYS = 4
_SHARE = 0.3
_HOPELESS, _HOPELESS_FAMILY = 1.5, 3.0
_CLEAR, _DEVIATIONS = 0.1, 2.0


def is_promising(library: Library, entry: Entry) -> bool:
    """Whether a candidate deserves its next fold.

    Those do that are among the best after as many folds (successive halving; Jamieson and
    Talwalkar, 2016), and the best of each family, because blends gain by models that err
    differently, even by worse ones; none that is far behind. What anybody would try first is
    completed unless it is, and what repeats another one if chance makes it another one. What is
    compared with another one is always completed: were it given up where it is worse, the rest
    would seem better than it is.
    """
    if entry.failure is not None:
        return False
    if entry.folds == 0 or entry.origin == OUTLIERS:
        return True
    rivals = library.reached(entry.folds)
    is_best_of_family = entry is _best_of_family(rivals, entry)
    best, far = rivals[0].loss(entry.folds), _HOPELESS_FAMILY if is_best_of_family else _HOPELESS
    if best > 0 and entry.loss(entry.folds) > far * best:
        return False
    if entry.origin == REPEATED:
        return not _is_the_same(library, entry)
    is_among_best = rivals.index(entry) < max(_ALWAYS, math.ceil(_SHARE * len(rivals)))
    return is_among_best or is_best_of_family or entry.origin == FLOOR


def is_beaten(library: Library, entry: Entry) -> bool:
    """Whether another candidate is clearly better on the same folds, of which there are several."""
    rivals = library.reached(entry.folds)
    return entry.folds > 1 and is_clearly_better(rivals[0], entry)


def is_clearly_better(entry: Entry, other: Entry) -> bool:
    """Whether a candidate is better on the folds that both have, by more than folds differ."""
    shared = min(entry.folds, other.folds)
    gain = other.loss(shared) - entry.loss(shared)
    spread = float(np.std([each.loss for each in other.results], ddof=1)) / math.sqrt(shared)
    return gain > max(_CLEAR * other.loss(shared), _DEVIATIONS * spread)


def _best_of_family(rivals: list[Entry], entry: Entry) -> Entry:
    return next(each for each in rivals if each.candidate.family == entry.candidate.family)


def _is_the_same(library: Library, entry: Entry) -> bool:
    """Whether the candidate that another one repeats has the same losses."""
    others = [each for each in library.alike(entry) if each is not entry]
    known = [each for each in others if each.folds >= entry.folds]
    return any(each.loss(entry.folds) == entry.loss(entry.folds) for each in known)
