"""The policies of a specification, applied to rows in turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.models.transform import shortened as shortened_tokens
from services.trainer.domain.augmentation.draws import Draws
from services.trainer.domain.augmentation.geometry import (
    Maps,
    Size,
    affines,
    crops,
    flips,
    linear,
    warped,
)
from services.trainer.domain.augmentation.images import erased, recolored
from services.trainer.domain.augmentation.mixing import Inputs, cut_mix, mixup
from services.trainer.domain.augmentation.policies import Border
from services.trainer.domain.augmentation.rand_augment import rand_augmented
from services.trainer.domain.augmentation.specification import Augmentation, Policy
from services.trainer.domain.augmentation.tables import forgotten, noisy
from services.trainer.domain.augmentation.texts import (
    Texts,
    mistyped,
    reworded,
    shortened,
    swapped,
)
from services.trainer.domain.augmentation.windows import SERIES

MIXING = frozenset({"mixup", "cut_mix"})
"""Kinds that blend a row with a partner; they come last."""

Numbered = tuple[int, Policy]
"""A policy with its place in the list, which its draws go by."""
Change = Callable[[Inputs, Draws], Inputs]
"""Changes rows; takes what they are and the draws of the run's policies."""

# All of these take the settings of their kind, which differ.
_MAPS: dict[str, Callable[[Any, Draws, Size], Maps]] = {
    "flip": flips,
    "crop": crops,
    "affine": affines,
}
_TEXTS: dict[str, Callable[[Texts, Any, Draws], list[str | None]]] = {
    "character_noise": mistyped,
    "word_swap": swapped,
    "word_deletion": shortened,
    "synonyms": reworded,
}


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


class Tokenizer(Protocol):
    """What turns texts into tokens and back."""

    def texts(self, tokens: npt.NDArray[np.int64]) -> list[str]:
        """Returns the texts that tokens stand for, shape (rows, tokens)."""
        ...

    def tokens_of(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Returns the contrary of `texts`."""
        ...


class RowChanges:
    """Everything that changes rows one by one."""

    def __init__(
        self, augmentation: Augmentation, pixels: Pixels | None, tokenizer: Tokenizer | None
    ) -> None:
        """Prepares the policies.

        Args:
            augmentation: Resolved.
            pixels: How images were standardised; None where there are none.
            tokenizer: Of the texts; None where there are none.
        """
        self._border = augmentation.border
        self._pixels = pixels
        self._tokenizer = tokenizer
        alone = [
            each
            for each in enumerate(augmentation.policies)
            if each[1].kind not in MIXING | SERIES | {"interpolation"}
        ]
        self._changes: list[Change] = []
        for family, group in groupby(alone, key=lambda each: _family(each[1])):
            self._changes += self._of_family(family, list(group))

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

    def _of_family(self, family: str, policies: Sequence[Numbered]) -> list[Change]:
        """Returns the changes of policies that follow one another."""
        if family == "geometry":
            return [partial(_moved, policies, self._border)]
        if family == "texts":
            assert self._tokenizer is not None
            return [partial(_rewritten, policies, self._tokenizer)]
        return [self._alone(*each) for each in policies]

    def _alone(self, number: int, policy: Policy) -> Change:
        fill = torch.zeros(0) if self._pixels is None else self._pixels.mean
        changes: dict[str, tuple[str, Callable[[Tensor, Any, Draws], Tensor]]] = {
            "color": ("image", recolored),
            "erasing": ("image", partial(erased, fill=fill)),
            "rand_augment": ("image", partial(rand_augmented, border=self._border)),
            "noise": ("numeric", noisy),
            "category_dropout": ("categories", forgotten),
        }
        return partial(_changed, number, policy, *changes[policy.kind])


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


def _family(policy: Policy) -> str:
    """Returns what policies that follow one another are done together by."""
    if policy.kind in _MAPS:
        return "geometry"
    return "texts" if policy.kind in _TEXTS else "alone"


def _changed(
    number: int,
    policy: Policy,
    name: str,
    change: Callable[[Tensor, Any, Draws], Tensor],
    inputs: Inputs,
    draws: Draws,
) -> Inputs:
    """Returns the rows, a share of them with one input changed."""
    branch = draws.branch(number)
    rows = np.flatnonzero(branch.chosen(policy.share))
    if len(rows) == 0:
        return inputs
    values = inputs[name].clone()
    values[rows] = change(values[rows], policy.settings, branch.of(rows))
    return {**inputs, name: values}


def _moved(policies: Sequence[Numbered], border: Border, inputs: Inputs, draws: Draws) -> Inputs:
    """Returns the rows, their images seen through the product of several maps."""
    images = inputs["image"]
    maps = linear(draws.rows)
    size = (images.shape[2], images.shape[3])
    for number, policy in policies:
        branch = draws.branch(number)
        rows = np.flatnonzero(branch.chosen(policy.share))
        drawn = _MAPS[policy.kind](policy.settings, branch.of(rows), size)
        maps[rows] = drawn @ maps[rows]
    return {**inputs, "image": warped(images, maps, border)}


def _rewritten(
    policies: Sequence[Numbered], tokenizer: Tokenizer, inputs: Inputs, draws: Draws
) -> Inputs:
    """Returns the rows with other texts: as long as their tokens are, they are read from those."""
    texts: list[str | None] = list(tokenizer.texts(inputs["tokens"].numpy()))
    for number, policy in policies:
        branch = draws.branch(number)
        rows = np.flatnonzero(branch.chosen(policy.share))
        chosen = [texts[row] for row in rows]
        written = _TEXTS[policy.kind](chosen, policy.settings, branch.of(rows))
        for row, text in zip(rows, written, strict=True):
            texts[row] = text
    tokens = tokenizer.tokens_of([text or "" for text in texts])
    return {**inputs, "tokens": torch.from_numpy(shortened_tokens(tokens))}
