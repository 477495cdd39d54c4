"""The policies of a specification, applied to rows in turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import cast

import numpy as np
import torch
from torch import Tensor

from services.trainer.domain.augmentation.draws import Draws
from services.trainer.domain.augmentation.geometry import (
    MapDraw,
    affines,
    crops,
    flips,
    linear,
    warped,
)
from services.trainer.domain.augmentation.images import erased, recolored
from services.trainer.domain.augmentation.mixing import Inputs, cut_mix, mixup
from services.trainer.domain.augmentation.policies import (
    Affine,
    Border,
    CategoryDropout,
    Color,
    Crop,
    Erasing,
    Flip,
    Noise,
    RandAugment,
)
from services.trainer.domain.augmentation.rand_augment import rand_augmented
from services.trainer.domain.augmentation.specification import Augmentation, Policy
from services.trainer.domain.augmentation.tables import forgotten, noisy

MIXING = frozenset({"mixup", "cut_mix"})
"""Kinds that blend a row with a partner; they come last."""
GEOMETRY = frozenset({"flip", "crop", "affine"})
"""Kinds that move pixels: neighbours in the list are one sampling."""

Change = Callable[[Inputs, Draws], Inputs]
"""Changes rows; takes what they are and the draws of the run's policies."""
ValueChange = Callable[[Tensor, Draws], Tensor]
Numbered = tuple[int, Policy]
"""A policy with its place in the list, which its draws go by."""


@dataclass(frozen=True)
class Pixels:
    """How images were standardised.

    Attributes:
        mean: Of each channel, as numbers of 0 to 1, shape (channels,).
        scale: See `mean`.
    """

    mean: Tensor
    scale: Tensor

    def shown(self, images: Tensor) -> Tensor:
        """Returns standardised images as numbers of 0 to 1."""
        return images * self.scale[:, None, None] + self.mean[:, None, None]

    def standardised(self, images: Tensor) -> Tensor:
        """Returns the contrary of `shown`, channels last in memory."""
        back = (images - self.mean[:, None, None]) / self.scale[:, None, None]
        return back.contiguous(memory_format=torch.channels_last)


class RowChanges:
    """Everything that changes rows one by one."""

    def __init__(self, augmentation: Augmentation, pixels: Pixels | None) -> None:
        """Prepares the policies.

        Args:
            augmentation: Resolved.
            pixels: How images were standardised; None where there are none.
        """
        self._pixels = pixels
        alone = [
            (number, policy)
            for number, policy in enumerate(augmentation.policies)
            if policy.kind not in MIXING and policy.kind != "interpolation"
        ]
        self._changes: list[Change] = []
        for is_geometry, group in groupby(alone, key=lambda each: each[1].kind in GEOMETRY):
            if is_geometry:
                self._changes.append(partial(_moved, list(group), augmentation.border))
            else:
                self._changes += [self._change(*each, augmentation.border) for each in group]

    def __call__(self, inputs: Inputs, draws: Draws) -> Inputs:
        """Returns the rows, changed; see `Change`."""
        if not self._changes:
            return inputs
        if self._pixels is not None:
            inputs = {**inputs, "image": self._pixels.shown(inputs["image"])}
        for change in self._changes:
            inputs = change(inputs, draws)
        if self._pixels is not None:
            inputs = {**inputs, "image": self._pixels.standardised(inputs["image"])}
        return inputs

    def _change(self, number: int, policy: Policy, border: Border) -> Change:
        fill = torch.zeros(0) if self._pixels is None else self._pixels.mean
        name, change = _value_change(policy, border, fill)
        return partial(_changed, number, policy.share, name, change)


def mixed(
    policies: Sequence[Numbered], own: Inputs, other: Inputs, draws: Draws
) -> tuple[Inputs, Tensor]:
    """Blends rows with their partners.

    Args:
        policies: Of the kinds `MIXING`.
        own: Of the rows.
        other: Of their partners.
        draws: Of the rows.

    Returns:
        The blends, and the share of the row itself in each, shape (rows,).
    """
    share = torch.ones(draws.rows)
    for number, policy in policies:
        branch = draws.branch(number)
        changed = torch.from_numpy(branch.chosen(policy.share))
        if policy.mixup is not None:
            own, part = mixup(policy.mixup, own, other, changed, branch)
        else:
            assert policy.cut_mix is not None
            own, part = cut_mix(policy.cut_mix, own, other, changed, branch)
        share = share * part
    return own, share


def _changed(
    number: int, share: float, name: str, change: ValueChange, inputs: Inputs, draws: Draws
) -> Inputs:
    """Returns the rows, a share of them with one input changed."""
    branch = draws.branch(number)
    rows = np.flatnonzero(branch.chosen(share))
    if len(rows) == 0:
        return inputs
    values = inputs[name].clone()
    values[rows] = change(values[rows], branch.of(rows))
    return {**inputs, name: values}


def _moved(policies: Sequence[Numbered], border: Border, inputs: Inputs, draws: Draws) -> Inputs:
    """Returns the rows, their images seen through the product of several maps."""
    images = inputs["image"]
    maps = linear(draws.rows)
    for number, policy in policies:
        branch = draws.branch(number)
        rows = np.flatnonzero(branch.chosen(policy.share))
        size = (images.shape[2], images.shape[3])
        maps[rows] = _map_draw(policy)(branch.of(rows), size) @ maps[rows]
    return {**inputs, "image": warped(images, maps, border)}


def _map_draw(policy: Policy) -> MapDraw:
    settings = policy.settings
    if policy.kind == "flip":
        return partial(flips, cast(Flip, settings))
    if policy.kind == "crop":
        return partial(crops, cast(Crop, settings))
    return partial(affines, cast(Affine, settings))


def _value_change(policy: Policy, border: Border, fill: Tensor) -> tuple[str, ValueChange]:
    """Returns the name of the input that a policy changes, and how."""
    settings = policy.settings
    changes: dict[str, tuple[str, ValueChange]] = {
        "color": ("image", lambda values, draws: recolored(values, cast(Color, settings), draws)),
        "erasing": (
            "image",
            lambda values, draws: erased(values, cast(Erasing, settings), fill, draws),
        ),
        "rand_augment": (
            "image",
            lambda values, draws: rand_augmented(
                values, cast(RandAugment, settings), border, draws
            ),
        ),
        "noise": ("numeric", lambda values, draws: noisy(values, cast(Noise, settings), draws)),
        "category_dropout": (
            "categories",
            lambda values, draws: forgotten(values, cast(CategoryDropout, settings), draws),
        ),
    }
    return changes[policy.kind]
