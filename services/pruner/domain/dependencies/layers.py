"""Rules of operations with weights."""

from typing import Any

import numpy as np

from common.networks.program import Operation
from common.networks.program_network import base_name
from services.pruner.domain.dependencies.following import Following
from services.pruner.domain.dependencies.layout import Axis, Band, Layout, settled
from services.pruner.domain.dependencies.tying import channel, frozen, tie, tied
from services.pruner.domain.dependencies.units import Labels, unite_along

GROUPS = 6
"""Where convolutions are told how many groups they have."""
_LOOKS_AT_ALL = "it is normalised by all of it"
_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def linear(following: Following, operation: Operation, value: Any) -> Any:
    """A matrix with its bias."""
    inputs, weight, *bias = (following.layout(each) for each in operation.arguments)
    inputs, labels = channel(following, inputs, -1)
    tie(following, labels, channel(following, weight, 1)[1])
    outputs = channel(following, weight, 0)[1]
    _tie_each(following, outputs, bias)
    return _with_last(inputs, outputs, value.shape[-1])


def convolution(following: Following, operation: Operation, value: Any) -> Any:
    """A convolution, in groups or not."""
    inputs, weight, *bias = (following.layout(each) for each in operation.arguments[:3])
    inputs, labels = channel(following, inputs, 1)
    inputs = frozen(following, inputs, range(2, value.dim()), "it is convolved over")
    weight = frozen(following, weight, range(2, value.dim()), "it is the kernel")
    groups = groups_of(operation)
    if "transpose" in operation.kind:
        labels_in, outputs = channel(following, weight, 0)[1], channel(following, weight, 1)[1]
        if groups > 1:
            following.freeze(weight, "transposed convolutions in groups are not followed")
            outputs = None
        tie(following, labels, labels_in)
    elif groups == 1:
        tie(following, labels, channel(following, weight, 1)[1])
        outputs = channel(following, weight, 0)[1]
    else:
        outputs = _in_groups(following, labels, weight, groups)
    _tie_each(following, outputs, bias)
    axis = Axis(value.shape[1])
    bands = [band for band in inputs.bands if inputs.axes[1] not in band.axes]
    bands += [] if outputs is None else [Band((axis,), outputs)]
    spatial = [Axis(size) for size in value.shape[2:]]
    return Layout((inputs.axes[0], axis, *spatial), tuple(bands))


def groups_of(operation: Operation) -> int:
    """Returns how many groups a convolution has."""
    given: Any = dict(enumerate(operation.arguments)).get(
        GROUPS, operation.options.get("groups", 1)
    )
    return int(given)


def _in_groups(following: Following, labels: Labels | None, weight: Layout, groups: int) -> Labels:
    """Returns the labels of outputs; groups stay as wide, or as many, as each other."""
    own = channel(following, weight, 0)[1]
    assert own is not None
    outputs = own.reshape(groups, -1)
    each_width = weight.axes[1].size
    inputs = None if labels is None else labels.reshape(groups, each_width)
    if inputs is None:
        following.freeze(weight, "what it is convolved with is not to be changed")
        return own
    if each_width == 1 or following.whole_groups:
        unite_along(following.units, inputs, 0)
        following.units.unite(inputs[:, :1], outputs)
        following.freeze(Layout(weight.axes, weight.bands[1:]), "each group sees it")
        return own
    unite_along(following.units, inputs, 1)
    unite_along(following.units, outputs, 1)
    tie(following, inputs[0], channel(following, weight, 1)[1])
    return own


def batch_norm(following: Following, operation: Operation, value: Any) -> Any:
    """A mean, a spread, a scale and a shift for each channel."""
    layout, labels = channel(following, following.layout(operation.arguments[0]), 1)
    _tie_each(following, labels, [following.layout(each) for each in operation.arguments[1:5]])
    return layout


def layer_norm(following: Following, operation: Operation, value: Any) -> Any:
    """Normalised over the last dimensions."""
    layout = following.layout(operation.arguments[0])
    sizes: Any = operation.arguments[1]
    for each in operation.arguments[2:4]:
        own = following.layout(each)
        if own is not None:
            following.freeze(own, _LOOKS_AT_ALL)
    count = len(layout.axes)
    return frozen(following, layout, range(count - len(sizes), count), _LOOKS_AT_ALL)


def group_norm(following: Following, operation: Operation, value: Any) -> Any:
    """Normalised over groups of channels: a group goes whole, and changes no other."""
    layout, labels = channel(following, following.layout(operation.arguments[0]), 1)
    groups: Any = operation.arguments[1]
    if labels is not None:
        unite_along(following.units, labels.reshape(groups, -1), 0)
    _tie_each(following, labels, [following.layout(each) for each in operation.arguments[2:4]])
    return layout


def pool(following: Following, operation: Operation, value: Any) -> Any:
    """What changes height, width or length only."""
    layout = following.layout(operation.arguments[0])
    count = len(layout.axes)
    changed = int(base_name(operation.kind)[-2]) if base_name(operation.kind)[-1] == "d" else 2
    layout = frozen(following, layout, range(count - changed, count), "it is pooled over")
    spatial = [Axis(size) for size in value.shape[count - changed :]]
    found = Layout((*layout.axes[: count - changed], *spatial), layout.bands)
    return (found, found) if isinstance(value, tuple) else found


def pad(following: Following, operation: Operation, value: Any) -> Any:
    """More at both ends of the last dimensions."""
    layout = following.layout(operation.arguments[0])
    pairs = zip(layout.axes, value.shape, strict=True)
    changed = [at for at, (axis, size) in enumerate(pairs) if axis.size != size]
    layout = frozen(following, layout, changed, "it is padded")
    axes = [Axis(value.shape[at]) if at in changed else axis for at, axis in enumerate(layout.axes)]
    return Layout(tuple(axes), layout.bands)


def embedding(following: Following, operation: Operation, value: Any) -> Any:
    """Rows of a matrix by number, each or in bags."""
    weight, codes = (following.layout(each) for each in operation.arguments[:2])
    weight = frozen(following, weight, [0], "what comes in picks it by number")
    labels = channel(following, weight, 1)[1]
    first = value[0] if isinstance(value, tuple) else value
    axes = codes.axes if not isinstance(value, tuple) else (Axis(first.shape[0]),)
    found = _with_last(Layout((*axes, Axis(1)), codes.bands), labels, first.shape[-1])
    if not isinstance(value, tuple):
        return found
    return (found, *(None for _ in value[1:]))


def matmul(following: Following, operation: Operation, value: Any) -> Any:
    """A product of matrices, of many at once, too."""
    first, second = (following.layout(each) for each in operation.arguments[-2:])
    if len(first.axes) < 2 or len(second.axes) < 2:
        following.freeze(first, "products of vectors are not followed")
        following.freeze(second, "products of vectors are not followed")
        return Layout(tuple(Axis(size) for size in value.shape))
    found = product(following, first, second)
    if len(operation.arguments) == 3:
        _tie_each(
            following,
            channel(following, found, -1)[1],
            [following.layout(operation.arguments[0])],
        )
    return found


def product(following: Following, first: Layout, second: Layout) -> Layout:
    """Returns the layout of a product of matrices.

    Where a dimension was split, for instance into heads, whole heads go.
    """
    first, second = _by_matrix(following, first), _by_matrix(following, second)
    first, left = channel(following, first, -1)
    second, right = channel(following, second, -2)
    tie(following, left, right)
    batches = [_batch(first), _batch(second)]
    count = max(len(each.axes) for each in batches)
    shape = [
        max(each.axes[at - count].size for each in batches if len(each.axes) >= count - at)
        for at in range(count)
    ]
    batch = tied(following, batches, shape)
    rows, columns = first.axes[-2], second.axes[-1]
    kept = [each for each in first.bands if each.axes == (rows,)]
    kept += [each for each in second.bands if each.axes == (columns,)]
    return Layout((*batch.axes, rows, columns), (*batch.bands, *kept))


def attention(following: Following, operation: Operation, value: Any) -> Any:
    """Scaled products of queries and keys, by which values are mixed."""
    query, key, values = (following.layout(each) for each in operation.arguments[:3])
    order = [*range(len(key.axes) - 2), len(key.axes) - 1, len(key.axes) - 2]
    query = _by_matrix(following, query)
    if "scale" not in operation.options:
        query = frozen(following, query, [len(query.axes) - 1], "products are scaled by its size")
    weights = product(following, query, key.permuted(order))
    return product(following, weights, values)


def recurrent(following: Following, operation: Operation, value: Any) -> Any:
    """LSTM, GRU and plain recurrent networks: hidden units go in all layers and directions."""
    given: Any = operation.arguments[:8]
    inputs, states, own, has_biases, layers, _, _, is_bidirectional = given
    gates = _GATES[base_name(operation.kind)]
    layout, labels = channel(following, following.layout(inputs), -1)
    directions = 2 if is_bidirectional else 1
    width = value[0].shape[-1] // directions
    hidden = following.units.fresh(width)
    both = np.tile(hidden, directions)
    per_layer = len(own) // (layers * directions)
    expected = 4 if has_biases else 2
    if per_layer != expected:
        for each in own:
            following.freeze(following.layout(each), "projections of states are not followed")
        return tuple(Layout(tuple(Axis(size) for size in each.shape)) for each in value)
    for start in range(0, len(own), per_layer):
        some = [following.layout(each) for each in own[start : start + per_layer]]
        before = labels if start < per_layer * directions else both
        tie(following, before, channel(following, some[0], 1)[1])
        tie(following, hidden, channel(following, some[1], 1)[1])
        for each in some:
            rows = channel(following, each, 0)[1]
            if rows is not None:
                following.units.unite(hidden, rows.reshape(gates, -1))
    for each in states if isinstance(states, tuple) else (states,):
        state, own_labels = channel(following, following.layout(each), -1)
        tie(following, hidden, own_labels)
        frozen(following, state, [0, 1], "there is one for each layer and row")
    found = _with_last(layout, both, len(both))
    ends = [_with_last(Layout(tuple(map(Axis, each.shape))), hidden, width) for each in value[1:]]
    return (found, *ends)


def _by_matrix(following: Following, layout: Layout) -> Layout:
    """Settles bands that change within matrices and from matrix to matrix on the latter."""
    for axis in layout.axes[:-2]:
        layout = settled(following.units, layout, axis)
    return layout


def _batch(layout: Layout) -> Layout:
    return layout.without(layout.axes[-2:])


def _with_last(layout: Layout, labels: Labels | None, size: int) -> Layout:
    """Returns a layout with another last axis."""
    rest = layout.without([layout.axes[-1]])
    axis = Axis(size)
    bands = rest.bands if labels is None else (*rest.bands, Band((axis,), labels))
    return Layout((*rest.axes, axis), bands)


def _tie_each(following: Following, labels: Labels | None, layouts: list[Layout | None]) -> None:
    """Ties the only axis of parameters to a channel."""
    for each in layouts:
        if each is not None:
            tie(following, labels, channel(following, each, 0)[1])
