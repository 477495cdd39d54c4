"""What models from elsewhere give, as probabilities or values."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from common.models.vectors import Tensors

Outputs = npt.NDArray[np.float64]
"""Shape (rows, outputs)."""

_TOLERANCE = 1e-3


class UnknownOutputsError(ValueError):
    """The outputs of a model are none that are known: one sentence."""


def regression_outputs(found: Tensors) -> Outputs:
    """Returns the values of a regression model, shape (rows, targets)."""
    values = next(iter(found.values()))
    return np.asarray(values, np.float64).reshape(len(values), -1)


def are_logits(found: Tensors) -> bool:
    """Whether a model of two classes gives one score that is no probability, as far as seen."""
    columns = [each for each in found.values() if each.dtype.kind == "f" and each.size == len(each)]
    return any(each.min(initial=0) < 0 or each.max(initial=0) > 1 for each in columns)


def class_outputs(
    found: Tensors,
    classes: Sequence[str],
    *,
    are_positions: bool = True,
    are_logits: bool = False,
) -> tuple[Outputs, bool]:
    """Returns the probabilities of classes, shape (rows, classes), and whether they are such.

    Probabilities are taken where there is an output with a column for each class; scores that are
    none (logits) go through a softmax. One column of a model of two classes is the second one's.
    Else the class that an output names has 1.

    Args:
        found: What the model gave.
        classes: Their labels, in order.
        are_positions: Whether whole numbers are positions of classes; else they are labels, where
            all labels are whole numbers.
        are_logits: Whether one column of a model of two classes is no probability, which a few rows
            alone may not show.

    Raises:
        UnknownOutputsError: No output is of these kinds.
    """
    count = len(classes)
    for values in found.values():
        if values.ndim == 2 and values.shape[1] == count and values.dtype.kind == "f":
            return _normalised(values.astype(np.float64)), True
    for values in found.values():
        if count == 2 and values.dtype.kind == "f" and values.size == len(values):
            column = values.astype(np.float64).reshape(-1)
            return _two_classes(column, are_logits), True
    for values in found.values():
        if values.size == len(values):
            return _one_hot(values.reshape(-1), classes, are_positions), False
    raise UnknownOutputsError(
        f"No output of the model has a column for each of the {count} classes, or names one."
    )


def label_outputs(found: Tensors) -> tuple[Outputs, bool]:
    """Returns the probability of each of several labels, and whether they are such."""
    tables = list(found.values())
    if all(each.ndim == 2 and each.shape[1] == 2 for each in tables) and len(tables) > 1:
        return np.column_stack([each[:, 1] for each in tables]).astype(np.float64), True
    return np.asarray(tables[0], np.float64), tables[0].dtype.kind == "f"


def _normalised(values: Outputs) -> Outputs:
    # A product sums short rows several times quicker than `sum`.
    sums = values @ np.ones(values.shape[1])
    if values.min(initial=0) >= 0 and (np.abs(sums - 1) <= _TOLERANCE).all():
        return values
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _two_classes(values: Outputs, are_logits: bool) -> Outputs:
    is_probability = not are_logits and values.min(initial=0) >= 0 and values.max(initial=0) <= 1
    second = values if is_probability else 1 / (1 + np.exp(-values))
    return np.column_stack([1 - second, second])


def _one_hot(values: Values, classes: Sequence[str], are_positions: bool) -> Outputs:
    are_numbers = all(label.lstrip("-").isdigit() for label in classes)
    if values.dtype.kind in "iub" and (are_positions or not are_numbers):
        positions = values.astype(np.int64)
    else:
        places = {label: place for place, label in enumerate(classes)}
        positions = np.array([places.get(str(each), -1) for each in values.tolist()], np.int64)
    outputs = np.zeros((len(values), len(classes)))
    known = np.flatnonzero((positions >= 0) & (positions < len(classes)))
    outputs[known, positions[known]] = 1
    return outputs
