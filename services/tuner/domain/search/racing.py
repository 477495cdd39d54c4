"""Which candidates get another fold."""

import math

from services.tuner.domain.search.library import FLOOR, Entry, Library

_ALWAYS = 4
_SHARE = 0.3
_HOPELESS = 1.5


def is_promising(library: Library, entry: Entry) -> bool:
    """Whether a candidate deserves its next fold.

    Those do that are among the best after as many folds (successive halving; Jamieson and
    Talwalkar, 2016), and the best of each family, because blends gain by models that err
    differently; none that is far behind. What anybody would try first is always completed.
    """
    if entry.failure is not None:
        return False
    if entry.folds == 0 or entry.origin == FLOOR:
        return True
    rivals = library.reached(entry.folds)
    best = rivals[0].loss(entry.folds)
    if best > 0 and entry.loss(entry.folds) > _HOPELESS * best:
        return False
    is_among_best = rivals.index(entry) < max(_ALWAYS, math.ceil(_SHARE * len(rivals)))
    return is_among_best or entry is _best_of_family(rivals, entry)


def _best_of_family(rivals: list[Entry], entry: Entry) -> Entry:
    return next(each for each in rivals if each.candidate.family == entry.candidate.family)
