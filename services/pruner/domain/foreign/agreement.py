"""How well outputs of a model without source say what is true, row by row."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from services.pruner.domain.foreign.graphs import Array

Losses = npt.NDArray[np.float64]

# A loss is clearly greater where it is by so many standard errors, and by such a share of what
# knowing nothing of the rows loses: the rows may be some that the model has learned by heart.
_STANDARD_ERRORS = 2.0
_SHARE = 0.05


def losses(outputs: Mapping[str, Array], truth: Array) -> Losses | None:
    """Returns the loss of each row; None where no output is seen to be about the truth.

    Of classes the Brier score, of numbers the squared error.

    Args:
        outputs: What a model gives.
        truth: Classes, or floating-point numbers, (rows,).
    """
    for values in outputs.values():
        if values.dtype.kind != "f" or len(values) != len(truth):
            continue
        numbers = values.reshape(len(truth), -1).astype(np.float64)
        if numbers.shape[1] == 1 and truth.dtype.kind == "f":
            return np.square(numbers[:, 0] - truth)
        codes = _codes(truth, numbers.shape[1])
        if codes is not None:
            return np.asarray(
                np.square(_probabilities(numbers) - np.eye(numbers.shape[1])[codes]).sum(axis=1)
            )
    return None


def is_clearly_worse(found: Losses | None, original: Losses | None, truth: Array) -> bool:
    """Returns whether losses on the same rows are greater beyond chance, and not only a little."""
    if found is None or original is None:
        return False
    more = found - original
    error = float(more.std()) / np.sqrt(len(more))
    mean = float(more.mean())
    return mean > _STANDARD_ERRORS * error and mean > _SHARE * _ignorance(truth)


def _ignorance(truth: Array) -> float:
    """Returns the mean loss of the same answer for all rows."""
    if truth.dtype.kind == "f":
        return float(truth.var())
    shares = np.unique(truth, return_counts=True)[1] / len(truth)
    return float(1 - np.square(shares).sum())


def _codes(truth: Array, classes: int) -> npt.NDArray[np.int64] | None:
    if truth.dtype.kind == "f" or classes == 1:
        return None
    if truth.dtype.kind in "iu" and truth.min() >= 0 and truth.max() < classes:
        return truth.astype(np.int64)
    names, codes = np.unique(truth, return_inverse=True)
    return codes if len(names) == classes else None


def _probabilities(numbers: Losses) -> Losses:
    """Returns shares of rows: of scores their softmax."""
    if (numbers >= 0).all() and np.allclose(numbers.sum(axis=1), 1.0, atol=1e-3):
        return numbers
    powers = np.exp(numbers - numbers.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
