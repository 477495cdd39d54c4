"""From outputs to decisions."""

import numpy as np
import numpy.typing as npt

from common.scoring.arrays import Outputs, Truth
from common.scoring.kinds import ProblemKind


def decisions(outputs: Outputs, kind: ProblemKind) -> Truth:
    """Returns decisions as `Problem.truth` has the truth.

    The most likely class, the first of equals; labels at least as likely as not; values as they
    are.

    Args:
        outputs: As of `Metric.loss`.
        kind: Of the problem.
    """
    if kind is ProblemKind.MULTI_LABEL:
        return likely_labels(outputs).astype(np.int8)
    if kind is ProblemKind.REGRESSION:
        return outputs[:, 0]
    return most_likely(outputs)


def decisions_at(outputs: Outputs, threshold: float) -> npt.NDArray[np.int64]:
    """Returns decisions of a binary problem: the second class where likelier than a threshold.

    Args:
        outputs: Probabilities, (rows, 2).
        threshold: See `best_threshold`; 0.5 decides as `decisions` does.
    """
    return (outputs[:, 1] > threshold).astype(np.int64)


def likely_labels(outputs: Outputs) -> npt.NDArray[np.bool_]:
    """Returns which labels are at least as likely as not, (rows, labels)."""
    return np.asarray(outputs >= 0.5)


def most_likely(outputs: Outputs) -> npt.NDArray[np.int64]:
    """Returns the most likely classes, (rows,); of equals the first."""
    if outputs.shape[1] == 2:
        # Many times quicker than `argmax` along short rows.
        return np.asarray(outputs[:, 1] > outputs[:, 0], np.int64)
    return np.asarray(outputs.argmax(axis=1), np.int64)
