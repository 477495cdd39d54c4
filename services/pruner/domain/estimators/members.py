"""Ensembles with fewer members."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.models.estimators.blending import (
    BlendedClassifier,
    BlendedRegressor,
    BlendGroup,
    group_outputs,
)
from common.models.estimators.combining import Mean, combined
from common.scoring.arrays import Outputs
from services.pruner.domain.estimators.material import Made, Material
from services.pruner.domain.variants import PartSize

_MOST = 64
"""Members beyond this many are not looked at one by one: the heaviest count."""


@dataclass(frozen=True)
class _Member:
    """An estimator of a blend.

    Attributes:
        group: Position of its group.
        estimator: It.
        weight: Its share of the group's.
        outputs: For the rows that members are chosen by.
    """

    group: int
    estimator: Any
    weight: float
    outputs: Outputs


def fewer_members(material: Material) -> Iterator[Made]:
    """Yields blends of fewer members, half as many each time, the last one of a single one.

    Forward selection (Caruana et al., 2004) by the metric on rows that no member has learned from:
    the next one is the one that makes the blend of those chosen best.
    """
    blend = material.model.estimator
    if not isinstance(blend, BlendedClassifier | BlendedRegressor):
        return
    members = _members(blend, material)
    if len(members) < 2:
        return
    order = _ordered(blend, members, material)
    count = len(order) // 2
    while count:
        material.check()
        yield _made(blend, order[:count], len(members))
        count //= 2


def _members(blend: Any, material: Material) -> list[_Member]:
    features = material.choosing.features
    width = len(blend.classes_) if isinstance(blend, BlendedClassifier) else 1
    found = []
    for place, group in enumerate(blend.estimators_):
        weight = group.weight / len(group.estimators_)
        for each in group.estimators_ if group.weight else ():
            material.check()
            outputs = group_outputs(BlendGroup([each], 1.0), features, width)
            found.append(_Member(place, each, weight, outputs))
    heaviest = sorted(found, key=lambda each: -abs(each.weight))
    return heaviest[:_MOST]


def _ordered(blend: Any, members: Sequence[_Member], material: Material) -> list[_Member]:
    """Returns the members in the order in which they are chosen."""
    left, chosen = list(members), list[_Member]()
    while left:
        material.check()
        losses = [_loss(blend, [*chosen, each], material) for each in left]
        chosen.append(left.pop(int(np.argmin(losses))))
    return chosen


def _loss(blend: Any, members: Sequence[_Member], material: Material) -> float:
    weights = _weights(blend, members)
    outputs = combined([each.outputs for each in members], weights, Mean(blend.mean_))
    if blend.calibration_ is not None:
        outputs = blend.calibration_.apply(outputs)
    return material.metric.loss(material.choosing.truth, outputs)


def _weights(blend: Any, members: Sequence[_Member]) -> list[float]:
    """Returns weights of members that sum up to those of all: sums of log odds are as sharp."""
    total = sum(group.weight for group in blend.estimators_)
    own = sum(each.weight for each in members)
    return [each.weight * total / own if own else total / len(members) for each in members]


def _made(blend: Any, members: Sequence[_Member], before: int) -> Made:
    groups: dict[int, list[Any]] = {}
    weights: dict[int, float] = {}
    for each, weight in zip(members, _weights(blend, members), strict=True):
        groups.setdefault(each.group, []).append(each.estimator)
        weights[each.group] = weights.get(each.group, 0.0) + weight
    smaller = copy.copy(blend)
    smaller.estimators_ = [BlendGroup(each, weights[group]) for group, each in groups.items()]
    count = len(members)
    note = f"{count} of the {before} members of the ensemble {'is' if count == 1 else 'are'} left."
    part = PartSize("ensemble", "fewer_members", before, count)
    return Made(f"members_{count}", smaller, (note,), (part,))
