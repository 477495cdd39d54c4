"""Whether a column tells anything of the target, and how many may be wrong about it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.stats import gamma, rankdata

from services.pruner.domain.features.coding import BINS, Coding, Floats

_SHUFFLES = 60
_MOST_OUTPUTS = 20
_FEW_VALUES = 20
_LEAST = 1e-300
_TINY = 1e-12


def alone(coding: Coding, truth: npt.NDArray[Any], generator: np.random.Generator) -> Floats:
    """Returns for each column the p-value that it tells nothing of the target, (columns,).

    How much of the target's variance lies between its bins, and how much is linear in its scores,
    is compared with what it is where the target is shuffled, the tail being that of a gamma
    distribution of the same mean and variance. The first sees what is no order, the second more of
    what is rare; the lower of the two p-values counts, twice.

    Args:
        coding: Of the columns.
        truth: Classes or numbers, (rows,), or several of them, (rows, targets).
        generator: Shuffles.
    """
    targets, cells = _targets(truth), _cells(coding)
    sizes = np.maximum(np.asarray(cells.sum(axis=0)).ravel(), 1.0)

    def explained(targets: Floats) -> Floats:
        linear = np.square(coding.scores.T @ targets / len(targets)).sum(axis=1)
        return np.stack([_between(cells, sizes, targets), linear])

    shuffled = [targets[generator.permutation(len(targets))] for _ in range(_SHUFFLES)]
    chance = np.stack([explained(each) for each in shuffled])
    mean = np.maximum(chance.mean(axis=0), _TINY)
    variance = np.maximum(chance.var(axis=0, ddof=1), _TINY**2)
    tail = gamma.sf(explained(targets), mean**2 / variance, scale=variance / mean)
    # Where all shuffles say nothing, the column or the target is constant.
    found = np.where(mean > _TINY, np.maximum(tail, _LEAST), 1.0)
    return np.asarray(np.minimum(2 * found.min(axis=0), 1.0), np.float64)


def discoveries(values: Floats, rate: float) -> npt.NDArray[np.bool_]:
    """Returns which p-values are so low that among all these a share of `rate` is by chance.

    Benjamini and Hochberg, Controlling the false discovery rate (1995).
    """
    count = len(values)
    order = np.argsort(values)
    passed = np.flatnonzero(values[order] <= rate * np.arange(1, count + 1) / max(count, 1))
    found = np.zeros(count, bool)
    found[order[: passed[-1] + 1 if len(passed) else 0]] = True
    return found


def _targets(truth: npt.NDArray[Any]) -> Floats:
    """Returns standardised columns of a target, (rows, outputs); classes are one column each."""
    columns = np.asarray(truth).reshape(len(truth), -1).T
    parts = [part for each in columns for part in _outputs(each)]
    wide = np.column_stack(parts)[:, : _MOST_OUTPUTS * len(columns)]
    spread = wide.std(axis=0)
    return np.asarray((wide - wide.mean(axis=0))[:, spread > 0] / spread[spread > 0])


def _outputs(values: npt.NDArray[Any]) -> list[Floats]:
    known, codes, counts = np.unique(
        values if values.dtype.kind in "biuf" else values.astype(str),
        return_inverse=True,
        return_counts=True,
    )
    if known.dtype.kind in "biuf" and len(known) > _FEW_VALUES:
        return [rankdata(values)]
    frequent = np.argsort(-counts, kind="stable")[:_MOST_OUTPUTS]
    return [(codes == code).astype(np.float64) for code in frequent]


def _cells(coding: Coding) -> csr_array:
    """Returns 1 for the bin that a row is in, (rows, columns times `BINS`)."""
    rows, columns = coding.bins.shape
    places = (coding.bins + np.arange(columns) * BINS).ravel()
    starts = np.arange(rows + 1) * columns
    return csr_array((np.ones(rows * columns), places, starts), (rows, columns * BINS))


def _between(cells: csr_array, sizes: Floats, targets: Floats) -> Floats:
    """Returns the share of variance between the bins of each column, summed over outputs."""
    totals = np.asarray(cells.T @ targets)
    shares = (np.square(totals) / sizes[:, None]).sum(axis=1) / len(targets)
    return np.asarray(shares.reshape(-1, BINS).sum(axis=1))
