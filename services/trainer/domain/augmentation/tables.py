"""Changes of table rows: noise, unknown categories, steps towards similar rows."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.models.preprocessing import UNKNOWN_CODE
from services.trainer.domain.augmentation.draws import Draws, Floats, Integers
from services.trainer.domain.augmentation.images import tensor
from services.trainer.domain.augmentation.policies import CategoryDropout, Noise

_NEAR_SHARE = 20
"""Near targets are those of the 1/20 of the rows around a row's own."""


def noisy(numbers: Tensor, settings: Noise, draws: Draws) -> Tensor:
    """Returns standardised numbers with normal noise added, shape (rows, columns)."""
    return numbers + tensor(settings.scale * draws.normals(numbers.shape[1]))


def forgotten(codes: Tensor, settings: CategoryDropout, draws: Draws) -> Tensor:
    """Returns codes some of which are that of an unknown category, shape (rows, columns)."""
    hidden = torch.from_numpy(draws.uniforms(codes.shape[1]) < settings.rate)
    return codes.masked_fill(hidden, UNKNOWN_CODE)


class SimilarTargets:
    """Finds rows with the same class, or with a near value, as a row has."""

    def __init__(self, targets: npt.NDArray[np.generic]) -> None:
        """Sorts rows by target.

        Args:
            targets: Class codes (whole numbers) or values of the training rows, shape (rows,).
        """
        self._order = np.argsort(targets, kind="stable")
        self._sorted = targets[self._order]
        self._are_classes = bool(np.issubdtype(targets.dtype, np.integer))

    def candidates(self, targets: npt.NDArray[np.generic], count: int, draws: Draws) -> Integers:
        """Returns positions among the training rows, shape (rows, count).

        Args:
            targets: Of the rows, each the target of a training row.
            count: How many for each.
            draws: Of the rows.
        """
        low = np.searchsorted(self._sorted, targets, side="left")
        high = np.searchsorted(self._sorted, targets, side="right")
        if not self._are_classes:
            rows = len(self._order)
            reach = max(count, rows // (2 * _NEAR_SHARE))
            low, high = np.maximum(low - reach, 0), np.minimum(high + reach, rows)
        found: Integers = self._order[low[:, None] + draws.integers(high - low, count)]
        return found


def nearest(numbers: Tensor, candidates: Tensor, is_itself: npt.NDArray[np.bool_]) -> Integers:
    """Returns which candidate is the nearest one to each row, shape (rows,).

    Args:
        numbers: Standardised, shape (rows, columns).
        candidates: Theirs, shape (rows, candidates, columns).
        is_itself: Says which candidates are the row itself, shape (rows, candidates); it is taken
            where there is no other.
    """
    distances = (candidates - numbers[:, None]).square().sum(dim=2)
    distances[torch.from_numpy(is_itself)] = torch.inf
    found: Integers = distances.argmin(dim=1).numpy()
    return found


def steps(draws: Draws) -> Floats:
    """Returns how far each row goes towards the other one, as a share of the way.

    Source: Chawla, Bowyer, Hall and Kegelmeyer, SMOTE: synthetic minority over-sampling technique
    (JAIR 2002).
    """
    return draws.uniform()
