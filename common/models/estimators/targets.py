"""Targets of any kind as columns of numbers."""

import numpy as np
import numpy.typing as npt


def target_columns(truth: npt.NDArray[np.generic], has_classes: bool) -> npt.NDArray[np.float64]:
    """Returns the target as numbers, (rows, outputs): two classes are one output.

    Args:
        truth: Positions of classes, or numbers, (rows,); or labels, (rows, labels).
        has_classes: Whether they are positions of classes.
    """
    values = np.asarray(truth)
    if not has_classes:
        return values.reshape(len(values), -1).astype(np.float64)
    classes = np.unique(values)
    chosen = classes[1:] if len(classes) == 2 else classes
    found: npt.NDArray[np.float64] = (values[:, None] == chosen).astype(np.float64)
    return found
