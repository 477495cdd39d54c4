"""Rows that are blends of two, targets included: Mixup and CutMix, and who is blended with whom."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from services.trainer.domain.augmentation.draws import Draws, Floats, Integers
from services.trainer.domain.augmentation.images import inside, tensor
from services.trainer.domain.augmentation.policies import CutMix, Mixup

Inputs = dict[str, Tensor]
"""A network's inputs by name, rows first."""
CANDIDATES = 64
"""Rows of the batch that a partner is looked for among, where it must be a near one."""


def partners(weights: Floats, draws: Draws) -> Integers:
    """Returns a partner for each row from the rows of the whole step, as likely as it weighs.

    A row that weighs nothing is nobody's partner: what it says must not count.

    Args:
        weights: Of the rows of the step, shape (rows of the step,).
        draws: Of the rows that look for one.

    Returns:
        Positions among the rows of the step, shape (rows,).
    """
    total = np.cumsum(weights)
    if total[-1] <= 0:
        return draws.integers(len(weights), 1)[:, 0]
    found = np.searchsorted(total, draws.uniform() * total[-1], side="right")
    chosen: Integers = np.minimum(found, len(weights) - 1)
    return chosen


def near_partners(
    targets: Floats, weights: Floats, mine: Integers, bandwidth: float, draws: Draws
) -> Integers:
    """Returns a partner for each row that is the likelier the nearer its target is.

    Source: Yao, Wang, Zhang, Zou and Finn, C-Mixup: improving generalization in regression
    (NeurIPS 2022), among `CANDIDATES` rows drawn from the step.

    Args:
        targets: Of the rows of the step, in deviations, shape (rows of the step,).
        weights: Of the rows of the step.
        mine: Positions of the rows that look for one.
        bandwidth: Deviation of the normal density that likelihoods follow.
        draws: Of these rows.
    """
    found = draws.integers(len(targets), CANDIDATES)
    distance = (targets[found] - targets[mine][:, None]) / bandwidth
    # Of the nearest one the density is 1, so that not all of them round to 0.
    exponent = -(distance**2) / 2
    likely = weights[found] * np.exp(exponent - exponent.max(axis=1, keepdims=True))
    total = np.cumsum(likely, axis=1)
    wanted = draws.uniform() * total[:, -1]
    picked = np.minimum((total <= wanted[:, None]).sum(axis=1), CANDIDATES - 1)
    chosen: Integers = found[np.arange(draws.rows), picked]
    return chosen


def shares_of_classes(codes: Tensor, classes: int) -> Tensor:
    """Returns classes as shares, shape (rows, classes): what can be blended."""
    return functional.one_hot(codes, classes).to(torch.float32)


def blended(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Returns share x own + (1 - share) x other; the share is that of each row."""
    share = share.view(-1, *[1] * (own.dim() - 1))
    return torch.lerp(other, own, share)


def between(own: Tensor, other: Tensor, share: Tensor, draws: Draws) -> Tensor:
    """Returns blends of one input; of codes each is one of the two, as likely as its share."""
    if own.is_floating_point():
        return blended(own, other, share)
    keeps = tensor(draws.uniforms(own.shape[1])) < share[:, None]
    return torch.where(keeps, own, other)


def mixup(
    settings: Mixup, own: Inputs, other: Inputs, changed: Tensor, draws: Draws
) -> tuple[Inputs, Tensor]:
    """Blends rows.

    Source: Zhang, Cisse, Dauphin and Lopez-Paz, mixup: beyond empirical risk minimization (ICLR
    2018). The larger share is the row's own, which makes no difference to the pairs that there are.

    Args:
        settings: How even blends are.
        own: Of the rows.
        other: Of their partners.
        changed: Says which rows are changed, shape (rows,).
        draws: Of the rows.

    Returns:
        The blends, and the share of the row itself in each, shape (rows,).
    """
    drawn = draws.beta(settings.alpha)
    share = tensor(np.maximum(drawn, 1 - drawn)).where(changed, torch.ones(()))
    mixed = {name: between(values, other[name], share, draws) for name, values in own.items()}
    return mixed, share


def cut_mix(
    settings: CutMix, own: Inputs, other: Inputs, changed: Tensor, draws: Draws
) -> tuple[Inputs, Tensor]:
    """Puts a rectangle of each partner into the row's image; see `mixup` for the arguments.

    Source: Yun, Han, Oh, Chun, Choe and Yoo, CutMix: regularization strategy to train strong
    classifiers with localizable features (ICCV 2019).
    """
    image = own["image"]
    height, width = image.shape[2:]
    size = np.array([height, width])
    sides = size * np.sqrt(1 - draws.beta(settings.alpha))[:, None]
    centre = draws.uniforms(2) * size
    first = np.clip(np.rint(centre - sides / 2), 0, size).astype(np.int64)
    last = np.clip(np.rint(centre + sides / 2), 0, size).astype(np.int64)
    last = np.where(changed.numpy()[:, None], last, first)
    rectangles = np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1)
    mixed = torch.where(inside(rectangles, (height, width)), other["image"], image)
    hidden = (last - first).prod(axis=1) / (height * width)
    return {**own, "image": mixed}, tensor(1 - hidden)
