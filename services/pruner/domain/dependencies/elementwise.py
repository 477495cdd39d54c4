"""Rules of operations that work element by element, and of sums over dimensions."""

from collections.abc import Sequence
from typing import Any

from common.networks.program import Argument, Operation, Ref, State
from services.pruner.domain.dependencies.following import Following
from services.pruner.domain.dependencies.layout import Axis, Layout
from services.pruner.domain.dependencies.tying import channel, frozen, tie, tied

_SAME = """
    abs alias bernoulli celu clamp clone contiguous cos detach dropout elu exp full_like gelu
    hardsigmoid hardswish hardtanh leaky_relu log logical_not mish neg ones_like reciprocal relu
    relu6 rsqrt selu sigmoid silu sin softplus sqrt square tanh to type_as zeros_like
"""
_TIED = """
    add div eq ge gt le lt masked_fill maximum minimum mul ne pow rsub sub where
"""
SAME, TIED = _SAME.split(), _TIED.split()
REDUCED = ("amax", "max", "mean", "min", "std", "sum", "var")
NORMALISED = ("log_softmax", "softmax", "cumsum")


def same(following: Following, operation: Operation, value: Any) -> Any:
    """What goes in comes out."""
    return following.layout(operation.arguments[0])


def elementwise(following: Following, operation: Operation, value: Any) -> Any:
    """Several tensors, by broadcasting."""
    known = [following.layout(each) for each in operation.arguments]
    layouts = [each for each in known if isinstance(each, Layout)]
    return tied(following, layouts, value.shape) if layouts else None


def reduced(following: Following, operation: Operation, value: Any) -> Any:
    """A sum or the like over some dimensions, or over all."""
    layout = following.layout(operation.arguments[0])
    dimensions = operation.arguments[1] if len(operation.arguments) > 1 else None
    if isinstance(dimensions, Ref | State):
        # The larger of two tensors has the name of the largest along a dimension.
        return elementwise(following, operation, value)
    positions = _positions(dimensions, len(layout.axes))
    reason = f"{operation.name} sums over it"
    layout = frozen(following, layout, positions, reason)
    outputs = value if isinstance(value, tuple) else (value,)
    is_kept = outputs[0].dim() == len(layout.axes)
    axes = tuple(
        Axis(1) if at in positions else axis
        for at, axis in enumerate(layout.axes)
        if is_kept or at not in positions
    )
    found = Layout(axes, layout.bands)
    return (found,) * len(outputs) if isinstance(value, tuple) else found


def normalised(following: Following, operation: Operation, value: Any) -> Any:
    """What depends on all values along a dimension."""
    layout = following.layout(operation.arguments[0])
    positions = _positions(operation.arguments[1], len(layout.axes))
    return frozen(following, layout, positions, f"{operation.name} looks at all of it at once")


def by_channel(following: Following, operation: Operation, value: Any) -> Any:
    """A parameter for each channel, or one for all."""
    layout, labels = channel(following, following.layout(operation.arguments[0]), 1)
    own = following.layout(operation.arguments[1])
    if own.axes[0].size > 1:
        tie(following, labels, channel(following, own, 0)[1])
    return layout


def _positions(dimensions: Argument, count: int) -> Sequence[int]:
    if dimensions is None:
        return range(count)
    some = dimensions if isinstance(dimensions, tuple) else (dimensions,)
    return [int(each) % count for each in some if isinstance(each, int)]
