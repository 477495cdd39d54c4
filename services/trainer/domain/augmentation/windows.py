"""Windows of series and what follows them, changed together: the one still follows the other."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from services.trainer.domain.augmentation.draws import Draws
from services.trainer.domain.augmentation.series import (
    jittered,
    permuted,
    scaled,
    time_warped,
    window_sliced,
)
from services.trainer.domain.augmentation.specification import Policy

# All of these take the settings of their kind, which differ.
_CHANGES: dict[str, Callable[[Tensor, Any, Draws], Tensor]] = {
    "jitter": jittered,
    "scaling": scaled,
    "time_warp": time_warped,
    "window_slice": window_sliced,
    "permutation": permuted,
}
SERIES = frozenset(_CHANGES)
"""Kinds that change series."""


def changed_windows(
    policies: Sequence[tuple[int, Policy]],
    window: Tensor,
    wanted: Tensor,
    season: int,
    draws: Draws,
) -> tuple[Tensor, Tensor]:
    """Returns windows and what is wanted of them, changed.

    Scaling, warps and slices take what follows along. Jitter leaves it as it is, and permutation
    leaves the last season as well.

    Args:
        policies: Of the kinds `SERIES`, each with its place in the list.
        window: Standardised, oldest first, shape (rows, window).
        wanted: What follows, less the window's last season again and again, shape (rows, horizon).
        season: Steps of it.
        draws: Of the rows.
    """
    length = window.shape[1]
    whole = torch.cat([window, wanted + last_season(window, season, wanted.shape[1])], dim=1)
    ends = {"jitter": length, "permutation": length - season}
    for number, policy in policies:
        branch = draws.branch(number)
        rows = np.flatnonzero(branch.chosen(policy.share))
        end = ends.get(policy.kind, whole.shape[1])
        if len(rows) > 0 and end > 0:
            part = whole[rows, :end, None]
            changed = _CHANGES[policy.kind](part, policy.settings, branch.of(rows))
            whole[rows, :end] = changed[:, :, 0]
    window, follows = whole[:, :length], whole[:, length:]
    return window, follows - last_season(window, season, wanted.shape[1])


def last_season(window: Tensor, season: int, horizon: int) -> Tensor:
    """Returns the last season again and again, shape (rows, horizon)."""
    places = [window.shape[1] - season + step % season for step in range(horizon)]
    return window[:, places]
