"""Rules of operations that only move elements."""

import itertools
from typing import Any

import numpy as np

from common.networks.program import Operation
from services.pruner.domain.dependencies.following import Following, unlabelled
from services.pruner.domain.dependencies.layout import Axis, Band, Layout, labelled, reshaped
from services.pruner.domain.dependencies.tying import channel, frozen, tied

RESHAPED = ("flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view")
CREATED = ("empty", "full", "ones", "zeros")


def reshape(following: Following, operation: Operation, value: Any) -> Any:
    """The same elements in another shape."""
    layout = following.layout(operation.arguments[0])
    return reshaped(following.units, layout, value.shape)


def permute(following: Following, operation: Operation, value: Any) -> Any:
    """Dimensions in another order."""
    layout = following.layout(operation.arguments[0])
    order: Any = operation.arguments[1]
    return layout.permuted([each % len(layout.axes) for each in order])


def transpose(following: Following, operation: Operation, value: Any) -> Any:
    """Two dimensions exchanged; the only two where none are named."""
    layout = following.layout(operation.arguments[0])
    order = list(range(len(layout.axes)))
    first, second = map(_number, operation.arguments[1:] or (0, 1))
    order[first], order[second] = order[second], order[first]
    return layout.permuted(order)


def expand(following: Following, operation: Operation, value: Any) -> Any:
    """The same again along dimensions of size 1 and new ones."""
    layout = following.layout(operation.arguments[0])
    missing = value.dim() - len(layout.axes)
    old: list[Axis | None] = [None] * missing + list(layout.axes)
    axes = [
        axis if axis is not None and axis.size == size else Axis(size)
        for axis, size in zip(old, value.shape, strict=True)
    ]
    return Layout(tuple(axes), layout.bands)


def select(following: Following, operation: Operation, value: Any) -> Any:
    """One index of a dimension."""
    layout = following.layout(operation.arguments[0])
    at = _number(dict(enumerate(operation.arguments)).get(1, 0)) % len(layout.axes)
    layout = frozen(following, layout, [at], "its indices are picked by number")
    return layout.without([layout.axes[at]])


def unbind(following: Following, operation: Operation, value: Any) -> Any:
    """All indices of a dimension, one by one."""
    return (select(following, operation, value),) * len(value)


def getitem(following: Following, operation: Operation, value: Any) -> Any:
    """One of several results."""
    known = following.layout(operation.arguments[0])
    return known[operation.arguments[1]] if known is not None else unlabelled(value)


def sliced(following: Following, operation: Operation, value: Any) -> Any:
    """Some indices in a row; with a step they are not followed."""
    layout = following.layout(operation.arguments[0])
    given: dict[int, Any] = {2: None, 3: None} | dict(enumerate(operation.arguments))
    at = _number(given.get(1, 0)) % len(layout.axes)
    size = layout.axes[at].size
    if given.get(4, 1) != 1:
        layout = frozen(following, layout, [at], "every so many indices of it are picked")
        return _part(following, layout, at, 0, value.shape[at])
    start, end, _ = slice(given[2], given[3]).indices(size)
    return _part(following, layout, at, start, end)


def split(following: Following, operation: Operation, value: Any) -> Any:
    """All indices in several rows."""
    layout = following.layout(operation.arguments[0])
    at = _number(dict(enumerate(operation.arguments)).get(2, 0)) % len(layout.axes)
    ends = list(itertools.accumulate(each.shape[at] for each in value))
    starts = [0, *ends[:-1]]
    return tuple(
        _part(following, layout, at, start, end) for start, end in zip(starts, ends, strict=True)
    )


def concatenate(following: Following, operation: Operation, value: Any) -> Any:
    """One after another along a dimension."""
    parts: Any = operation.arguments[0]
    at = _number(dict(enumerate(operation.arguments)).get(1, 0)) % value.dim()
    layouts, labels = [], []
    for each in parts:
        layout, own = channel(following, following.layout(each), at)
        if own is None:
            own = following.units.fresh(layout.axes[at].size)
            following.units.freeze(own, "it is not the network's to change")
        labels.append(own)
        flat = layout.without([layout.axes[at]])
        layouts.append(Layout((*flat.axes[:at], Axis(1), *flat.axes[at:]), flat.bands))
    shape = [1 if each == at else size for each, size in enumerate(value.shape)]
    rest = tied(following, layouts, shape)
    axis = Axis(value.shape[at])
    axes = (*rest.axes[:at], axis, *rest.axes[at + 1 :])
    return Layout(axes, (*rest.bands, Band((axis,), np.concatenate(labels))))


def created(following: Following, operation: Operation, value: Any) -> Any:
    """A tensor of numbers, as large as is needed."""
    sizes: Any = operation.arguments[0]
    labels = [
        following.units.fresh(size) if isinstance(size, int) and size > 1 else None
        for size in sizes
    ]
    return labelled(value.shape, labels)


def _part(following: Following, layout: Layout, at: int, start: int, end: int) -> Layout:
    """Returns the layout of some indices of an axis."""
    if (start, end) == (0, layout.axes[at].size):
        return layout
    layout, labels = channel(following, layout, at)
    rest = layout.without([layout.axes[at]])
    axis = Axis(end - start)
    bands = rest.bands if labels is None else (*rest.bands, Band((axis,), labels[start:end]))
    return Layout((*rest.axes[:at], axis, *rest.axes[at:]), bands)


def _number(argument: Any) -> int:
    return int(argument)
