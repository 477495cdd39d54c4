"""Axes that must be as long as each other."""

from collections.abc import Sequence

import numpy as np

from services.pruner.domain.dependencies.following import Following
from services.pruner.domain.dependencies.layout import (
    Axis,
    Band,
    Layout,
    merged,
    settled,
    simplified,
)
from services.pruner.domain.dependencies.units import Labels

FIXED = "what it meets there is not to be changed"


def channel(following: Following, layout: Layout, at: int) -> tuple[Layout, Labels | None]:
    """Returns the labels of one axis; a band that changes along others too is settled on it."""
    settled_layout = settled(following.units, layout, layout.axes[at])
    band = settled_layout.band(at)
    return settled_layout, None if band is None else band.labels


def tie(following: Following, first: Labels | None, second: Labels | None) -> None:
    """Unites the labels of two axes; one that meets none is frozen."""
    if first is not None and second is not None:
        following.units.unite(first, second)
        return
    for each in (first, second):
        if each is not None:
            following.units.freeze(each, FIXED)


def frozen(following: Following, layout: Layout, positions: Sequence[int], reason: str) -> Layout:
    """Returns a layout without bands along some axes: what changes along them alone is frozen."""
    axes = {layout.axes[each] for each in positions}
    kept = []
    for band in layout.bands:
        if set(band.axes) <= axes:
            following.units.freeze(band.labels, reason)
            continue
        found = merged(following.units, band, axes)
        kept += [] if found is None else [found]
    return Layout(layout.axes, tuple(kept))


def tied(following: Following, layouts: Sequence[Layout], shape: Sequence[int]) -> Layout:
    """Returns the layout of what is made element by element of tensors, by broadcasting.

    Args:
        following: What is known.
        layouts: Of the tensors.
        shape: Of the result.
    """
    spread = [_aligned(each, len(shape)) for each in layouts]
    axes = tuple(_axis([each[at] for each, _ in spread]) for at in range(len(shape)))
    united: list[Labels] = []
    for own, bands in spread:
        for labels in bands:
            positions = [at for at, size in enumerate(labels.shape) if size > 1]
            if any(
                _is_bare(other, at) for other in spread if other[0] is not own for at in positions
            ):
                following.units.freeze(labels, FIXED)
            united = _merged(following, united, labels)
    return Layout(axes, tuple(_bands(following, axes, united)))


def _aligned(layout: Layout, dimensions: int) -> tuple[list[Axis | None], list[Labels]]:
    """Returns axes and labels as if a tensor had so many dimensions."""
    missing = dimensions - len(layout.axes)
    axes: list[Axis | None] = [None] * missing + list(layout.axes)
    placed = [layout.placed(band) for band in layout.bands]
    return axes, [each.reshape((1,) * missing + each.shape) for each in placed]


def _axis(axes: Sequence[Axis | None]) -> Axis:
    return next((each for each in axes if each is not None and each.size > 1), Axis(1))


def _is_bare(spread: tuple[list[Axis | None], list[Labels]], at: int) -> bool:
    """Whether a tensor has an axis there that has no labels."""
    axes, bands = spread
    axis = axes[at]
    has_labels = any(each.shape[at] > 1 for each in bands)
    return axis is not None and axis.size > 1 and not has_labels


def _merged(following: Following, known: list[Labels], labels: Labels) -> list[Labels]:
    """Unites labels with those that share an axis with them."""
    apart = []
    for each in known:
        both = zip(each.shape, labels.shape, strict=True)
        if any(one > 1 and other > 1 for one, other in both):
            following.units.unite(each, labels)
            labels = np.broadcast_arrays(each, labels)[0]
        else:
            apart.append(each)
    return [*apart, labels]


def _bands(following: Following, axes: tuple[Axis, ...], united: list[Labels]) -> list[Band]:
    found = []
    for labels in united:
        positions = [at for at, size in enumerate(labels.shape) if size > 1]
        own = tuple(axes[at] for at in positions)
        band = simplified(following.units, Band(own, labels.reshape([each.size for each in own])))
        found += [] if band is None else [band]
    return found
