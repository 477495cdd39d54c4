"""Which candidates get another fold."""

import math

from services.tuner.domain.search.library import Entry, Library

_ALWAYS = 4
_SHARE = 0.3
_HOPELESS = 2.0


def is_promising(library: Library, entry: Entry) -> bool:
    """Whether a candidate deserves its next fold.

    Those do that are among the best after as many folds (successive halving; Jamieson and
    Talwalkar, 2016), and the best of each family, because blends gain by models that err
    differently.
    """
    if entry.failure is not None:
        return False
    if entry.folds == 0:
        return True
    rivals = library.reached(entry.folds)
    if rivals.index(entry) < max(_ALWAYS, math.ceil(_SHARE * len(rivals))):
        return True
    best = rivals[0].loss(entry.folds)
    is_hopeless = best > 0 and entry.loss(entry.folds) > _HOPELESS * best
    return not is_hopeless and entry is _best_of_family(rivals, entry)


def _best_of_family(rivals: list[Entry], entry: Entry) -> Entry:
    return next(each for each in rivals if each.candidate.family == entry.candidate.family)
