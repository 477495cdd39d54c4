"""Which unit each index of a tensor's dimensions belongs to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from services.pruner.domain.dependencies.units import Labels, Units


@dataclass(frozen=True, eq=False)
class Axis:
    """A dimension, the same one in all tensors that share it.

    Attributes:
        size: Its indices.
    """

    size: int


@dataclass(frozen=True, eq=False)
class Band:
    """Labels that vary along some axes of a tensor.

    Attributes:
        axes: One mostly; several where a dimension was split, for instance into heads.
        labels: Shaped as the axes' sizes.
    """

    axes: tuple[Axis, ...]
    labels: Labels


@dataclass(frozen=True, eq=False)
class Layout:
    """The axes of a tensor and what is known of them.

    Attributes:
        axes: In order.
        bands: Of some of its axes, each in at most one; an axis without is as it is for ever, for
            instance rows, time, or height.
    """

    axes: tuple[Axis, ...]
    bands: tuple[Band, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return tuple(each.size for each in self.axes)

    def band(self, at: int) -> Band | None:
        """Returns the band of an axis."""
        axis = self.axes[at]
        return next((each for each in self.bands if axis in each.axes), None)

    def without(self, axes: Sequence[Axis]) -> "Layout":
        """Returns the layout without some axes and their bands."""
        kept = tuple(each for each in self.axes if each not in axes)
        return Layout(kept, tuple(each for each in self.bands if not set(axes) & set(each.axes)))

    def permuted(self, order: Sequence[int]) -> "Layout":
        """Returns the layout with its axes in another order."""
        return Layout(tuple(self.axes[each] for each in order), self.bands)

    def placed(self, band: Band) -> Labels:
        """Returns a band's labels with as many dimensions as the tensor, 1 where it has no axis."""
        order = sorted(range(len(band.axes)), key=lambda at: self.axes.index(band.axes[at]))
        shape = [each.size if each in band.axes else 1 for each in self.axes]
        return band.labels.transpose(order).reshape(shape)


def plain(shape: Sequence[int]) -> Layout:
    """Returns a layout of axes that are as they are for ever."""
    return Layout(tuple(Axis(each) for each in shape))


def labelled(shape: Sequence[int], labels: Sequence[Labels | None]) -> Layout:
    """Returns the layout of a tensor whose axes have labels of their own, or none."""
    axes = tuple(Axis(each) for each in shape)
    bands = [
        Band((axis,), each) for axis, each in zip(axes, labels, strict=True) if each is not None
    ]
    return Layout(axes, tuple(bands))


def simplified(units: Units, band: Band) -> Band | None:
    """Returns a band without the axes along which nothing changes; None where nothing does."""
    labels, axes = band.labels, list(band.axes)
    for axis in band.axes:
        at = axes.index(axis)
        roots = units.roots(labels)
        if (roots == roots.take([0], axis=at)).all():
            labels = np.take(labels, 0, axis=at)
            axes.pop(at)
    return Band(tuple(axes), labels) if axes else None


def merged(units: Units, band: Band, axes: Collection[Axis]) -> Band | None:
    """Returns a band that no longer changes along some axes: what differs there goes together."""
    found: Band | None = band
    for axis in axes:
        if found is not None and axis in found.axes:
            at = found.axes.index(axis)
            units.unite(found.labels.take([0], axis=at), found.labels)
            found = simplified(units, found)
    return found


def settled(units: Units, layout: Layout, axis: Axis) -> Layout:
    """Returns a layout in which a band of several axes changes along one of them alone."""
    bands = []
    for each in layout.bands:
        if axis in each.axes and len(each.axes) > 1:
            found = merged(units, each, [other for other in each.axes if other is not axis])
            bands += [] if found is None else [found]
        else:
            bands.append(each)
    return Layout(layout.axes, tuple(bands))


def reshaped(units: Units, layout: Layout, shape: Sequence[int]) -> Layout:
    """Returns the layout of a tensor of another shape with the same elements in order."""
    before, after = list(layout.axes), list(shape)
    axes: list[Axis] = []
    bands = list(layout.bands)
    while before or after:
        some, sizes = _block(before, after)
        if len(some) == len(sizes) == 1:
            axes += some
            continue
        made = [Axis(each) for each in sizes]
        axes += made
        bands = _moved(units, bands, some, made)
    return Layout(tuple(axes), tuple(bands))


def _block(before: list[Axis], after: list[int]) -> tuple[list[Axis], list[int]]:
    """Takes the first axes and sizes away that hold the same elements."""
    some, sizes = before[:1], after[:1]
    del before[:1], after[:1]
    while (have := int(np.prod([each.size for each in some]))) != (want := int(np.prod(sizes))):
        if have < want:
            some.append(before.pop(0))
        else:
            sizes.append(after.pop(0))
    if not some or not sizes:
        some, sizes = some + before, sizes + after
        before.clear()
        after.clear()
    return some, sizes


def _moved(units: Units, bands: list[Band], some: list[Axis], made: list[Axis]) -> list[Band]:
    """Returns bands over new axes instead of old ones; of several that meet one is kept."""
    met = [each for each in bands if set(some) & set(each.axes)]
    rest = [each for each in bands if each not in met]
    if not met:
        return bands
    kept = max(met, key=lambda each: len(np.unique(units.roots(each.labels))))
    for each in met:
        if each is not kept:
            units.freeze(each.labels, "it is flattened together with another dimension")
    others = [each for each in kept.axes if each not in some]
    whole = Layout((*some, *others))
    sizes = [each.size for each in (*some, *others)]
    labels = np.broadcast_to(whole.placed(kept), sizes)
    labels = labels.reshape([each.size for each in (*made, *others)])
    found = simplified(units, Band((*made, *others), labels))
    return rest if found is None else [*rest, found]
