"""Linear models with fewer columns."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.base import clone

from services.pruner.domain.classical.rows import Candidate, Floats, Reduced, Rows, accepted

_KEPT = 0.75


def sparse_models(
    estimator: Any, learned: Rows, held_out: Rows, seed: int, check: Callable[[], None]
) -> Iterator[Reduced]:
    """Yields models in which the coefficients of many columns are 0.

    A quarter of the columns goes at a time, those that matter least, and the rest is fitted again
    (recursive elimination: Guyon et al., Gene selection for cancer classification, 2002).
    """
    before = int(np.count_nonzero(estimator.coef_))
    for each in accepted(_path(estimator, learned, check), estimator, held_out):
        note = (
            f"{each.size} of {before} coefficients are left; they were fitted again to "
            f"{len(learned)} rows, without weights of rows."
        )
        yield Reduced("sparse", each.estimator, each.size, before, (note,))


def _path(estimator: Any, learned: Rows, check: Callable[[], None]) -> Iterator[Candidate]:
    given = learned.features
    matrix: Any = given.tocsc() if issparse(given) else np.asarray(given)
    spread = _spreads(matrix)
    coefficients = np.atleast_2d(estimator.coef_)
    columns = np.flatnonzero(coefficients.any(axis=0))
    while len(columns) > 1:
        check()
        effects = np.abs(coefficients[:, columns]).sum(axis=0) * spread[columns]
        count = min(len(columns) - 1, int(_KEPT * len(columns)))
        columns = np.sort(columns[np.argsort(-effects, kind="stable")[:count]])
        fitted = clone(estimator).fit(matrix[:, columns], learned.truth)
        coefficients = np.zeros_like(coefficients)
        coefficients[:, columns] = fitted.coef_
        size = int(np.count_nonzero(coefficients))
        yield Candidate(_widened(estimator, fitted, coefficients), size)


def _widened(estimator: Any, fitted: Any, coefficients: Floats) -> Any:
    """Returns the original with the coefficients of a model of fewer columns."""
    found = copy.copy(estimator)
    found.coef_ = coefficients.reshape(np.shape(estimator.coef_))
    found.intercept_ = fitted.intercept_
    return found


def _spreads(matrix: Any) -> npt.NDArray[np.float64]:
    """Returns the standard deviation of each column."""
    if not issparse(matrix):
        return np.asarray(np.std(matrix, axis=0, dtype=np.float64))
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    squares = np.asarray(matrix.multiply(matrix).mean(axis=0)).ravel()
    return np.asarray(np.sqrt(np.maximum(squares - mean**2, 0.0)))
