"""Support vector machines with fewer vectors."""

import copy
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import lstsq, qr
from sklearn.metrics.pairwise import pairwise_kernels

from services.pruner.domain.classical.rows import Candidate, Floats, Reduced, Rows, accepted
from services.pruner.domain.trees.likely_rows import dense

_SHARES = (0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02)
_MOST_ROWS = 2_000


def reduced_vectors(
    estimator: Any, learned: Rows, held_out: Rows, seed: int, check: Callable[[], None]
) -> Iterator[Reduced]:
    """Yields machines whose decision function is spanned by fewer of their vectors.

    Coefficients of those that are left are fitted again to the original's decision function
    (Burges, Simplified support vector decision rules, 1996).
    """
    before = len(estimator.support_vectors_)
    for each in accepted(_candidates(estimator, learned, seed, check), estimator, held_out):
        note = f"{each.size} of {before} support vectors span the decision function again."
        yield Reduced("reduced_vectors", each.estimator, each.size, before, (note,))


def _candidates(
    estimator: Any, learned: Rows, seed: int, check: Callable[[], None]
) -> Iterator[Candidate]:
    places = np.random.default_rng(seed).permutation(len(learned))[:_MOST_ROWS]
    vectors = estimator.support_vectors_
    rows = np.concatenate([dense(learned.features)[places], vectors])[:_MOST_ROWS]
    kernel = _kernel(estimator, rows, vectors)
    check()
    influence = np.abs(estimator._dual_coef_).sum(axis=0)
    order = qr(kernel * influence, mode="r", pivoting=True)[1]
    for share in _SHARES:
        check()
        kept = _kept(order, _classes(estimator), max(2, round(share * len(vectors))))
        if len(kept) < len(vectors):
            yield Candidate(_with_vectors(estimator, kept, kernel), len(kept))


def _kernel(estimator: Any, rows: Floats, vectors: Floats) -> Floats:
    """Returns the kernel between rows and vectors, (rows, vectors)."""
    options = {"gamma": estimator._gamma, "degree": estimator.degree, "coef0": estimator.coef0}
    found: Floats = pairwise_kernels(
        rows, vectors, metric=estimator.kernel, filter_params=True, **options
    )
    return found


def _classes(estimator: Any) -> npt.NDArray[np.int64]:
    """Returns to which class each vector belongs; all to one where values are answered."""
    counts = np.asarray(getattr(estimator, "n_support_", [len(estimator.support_vectors_)]))
    return np.repeat(np.arange(len(counts)), counts)


def _kept(
    order: npt.NDArray[np.int64], classes: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """Returns places of the vectors that matter most, at least one of each class, ascending."""
    firsts = [order[classes[order] == each][0] for each in np.unique(classes)]
    return np.unique(np.concatenate([firsts, order[:count]]))


def _with_vectors(estimator: Any, kept: npt.NDArray[np.int64], kernel: Floats) -> Any:
    """Returns a machine with some of the vectors, which decides as nearly the same as it can."""
    classes = _classes(estimator)
    before, after = estimator._dual_coef_, np.zeros((len(estimator._dual_coef_), len(kept)))
    # Of a vector of class i, the coefficient against class j is in row j, or j - 1 if j > i.
    pairs = list(combinations(range(classes.max() + 1), 2)) or [(0, 0)]
    for one, other in pairs:
        row_of_one, row_of_other = max(other - 1, 0), one
        total = kernel[:, classes == one] @ before[row_of_one, classes == one]
        if other != one:
            total += kernel[:, classes == other] @ before[row_of_other, classes == other]
        is_own = np.isin(classes[kept], (one, other))
        found = lstsq(kernel[:, kept[is_own]], total, cond=1e-8)[0]
        rows = np.where(classes[kept[is_own]] == one, row_of_one, row_of_other)
        after[rows, np.flatnonzero(is_own)] = found
    return _rebuilt(estimator, kept, after)


def _rebuilt(estimator: Any, kept: npt.NDArray[np.int64], coefficients: Floats) -> Any:
    found = copy.copy(estimator)
    signs = np.sign((estimator.dual_coef_ * estimator._dual_coef_).sum()) or 1.0
    found.support_ = estimator.support_[kept]
    found.support_vectors_ = np.ascontiguousarray(estimator.support_vectors_[kept])
    found._dual_coef_ = np.ascontiguousarray(coefficients)
    found.dual_coef_ = signs * found._dual_coef_
    counts = np.bincount(_classes(estimator)[kept], minlength=len(estimator._n_support))
    found._n_support = counts.astype(np.int32)
    return found
