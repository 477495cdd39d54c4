"""Channels in ONNX graphs: where they come from, what carries them, and who takes them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from services.pruner.domain.foreign.graphs import (
    Array,
    Use,
    attributes,
    called,
    constants,
    is_kept,
    uses,
)

_ELEMENTWISE = frozenset(
    [
        "Abs",
        "Add",
        "Cast",
        "Celu",
        "Clip",
        "Div",
        "Dropout",
        "Elu",
        "Erf",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Max",
        "Min",
        "Mish",
        "Mul",
        "Neg",
        "PRelu",
        "Pow",
        "Relu",
        "Selu",
        "Sigmoid",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Sub",
        "Swish",
        "Tanh",
        "ThresholdedRelu",
    ]
)
_POOLING = frozenset(
    {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "GlobalLpPool", "MaxPool"}
)
_STATISTICS = frozenset({"BatchNormalization", "InstanceNormalization"})
_PRODUCERS = frozenset({"Conv", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Part:
    """Where channels lie in a constant.

    Attributes:
        name: The constant.
        axis: Its axis of channels.
        block: Numbers along the axis that belong to one channel.
    """

    name: str
    axis: int
    block: int = 1


@dataclass(frozen=True)
class Taker:
    """A node that weighs channels.

    Attributes:
        value: The value that it takes.
        axis: That one's axis of channels: 1 or -1.
        weight: Where the channels lie in its weights.
        bias: Constant that is added to what it gives, by which the mean of channels can be made
            up for; empty where there is none.
    """

    value: str
    axis: int
    weight: Part
    bias: str


@dataclass(frozen=True)
class Chain:
    """Channels that can be removed.

    Attributes:
        name: The node that gives them, for notes.
        channels: How many there are.
        is_convolution: Whether it is one.
        parts: Constants that get smaller.
        shapes: Constants that say how values are reshaped, two numbers, the channels last.
        depthwise: Outputs of convolutions with a group for each channel.
        takers: Who takes the channels.
    """

    name: str
    channels: int
    is_convolution: bool
    parts: tuple[Part, ...]
    shapes: tuple[Part, ...]
    depthwise: tuple[str, ...]
    takers: tuple[Taker, ...]


class _FrozenError(Exception):
    """Channels stay; says why."""


def chains(model: onnx.ModelProto, kept: Collection[str] = ()) -> Iterator[Chain | str]:
    """Yields channels that can be removed, and sentences on those that stay.

    Args:
        model: A model without branches and loops.
        kept: Names of layers that stay as they are.
    """
    graph = model.graph
    known = {name: numpy_helper.to_array(each) for name, each in constants(graph).items()}
    used = uses(graph)
    for place, node in enumerate(graph.node):
        is_producer = node.op_type in _PRODUCERS and node.domain in {"", "ai.onnx"}
        if not is_producer or len(node.input) < 2 or node.input[1] not in known:
            continue
        try:
            yield _Walk(known, used, kept).chain(node, list(graph.node)[place + 1 :])
        except _FrozenError as reason:
            yield f"Channels of {called(node)} stay: {reason}."


@dataclass(frozen=True)
class _Carried:
    """How a value carries channels: along its axis 1 or -1, each with a block of numbers."""

    axis: int
    rank: int
    block: int = 1


@dataclass
class _Walk:
    """Follows channels from where they come from."""

    known: dict[str, Array]
    used: dict[str, list[Use]]
    kept: Collection[str]
    channels: int = 0
    carried: dict[str, _Carried] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    shapes: list[Part] = field(default_factory=list)
    depthwise: list[str] = field(default_factory=list)
    takers: list[Taker] = field(default_factory=list)

    def chain(self, producer: onnx.NodeProto, behind: list[onnx.NodeProto]) -> Chain:
        """Returns the chain that starts at a node."""
        self._start(producer)
        for node in behind:
            places = [at for at, name in enumerate(node.input) if name in self.carried]
            if places:
                self._follow(node, places)
        for name in self.carried:
            if any(use.node is None for use in self.used[name]):
                raise _FrozenError("they are an output")
            if any(use.place < 0 for use in self.used[name]):
                raise _FrozenError("a branch or loop uses them")
        if not self.takers:
            raise _FrozenError("nothing takes them")
        return Chain(
            called(producer),
            self.channels,
            producer.op_type == "Conv",
            tuple(self.parts),
            tuple(self.shapes),
            tuple(self.depthwise),
            tuple(self.takers),
        )

    def _start(self, node: onnx.NodeProto) -> None:
        if is_kept(node, self.kept):
            raise _FrozenError("it was named as one that stays")
        weight, given = self.known[node.input[1]], attributes(node)
        carried = _Carried(1, weight.ndim) if node.op_type == "Conv" else _Carried(-1, 2)
        axis = 0 if node.op_type == "Conv" or given.get("transB", 0) else 1
        if node.op_type == "Conv" and given.get("group", 1) != 1:
            raise _FrozenError("it convolves groups")
        if node.op_type == "MatMul" and weight.ndim != 2:
            raise _FrozenError("it multiplies stacks of matrices")
        self.channels = weight.shape[axis]
        self.carried[node.output[0]] = carried
        self._add(node.input[1], axis)
        if len(node.input) > 2 and node.input[2]:
            self._broadcast(node.input[2], _Carried(-1, 0))

    def _add(self, name: str, axis: int, block: int = 1) -> Part:
        part = Part(name, axis, block)
        if name not in self.known:
            raise _FrozenError("its weights are computed")
        if len(self.used[name]) > 1:
            raise _FrozenError(f"`{name}` is used in {len(self.used[name])} places")
        self.parts.append(part)
        return part

    def _broadcast(self, name: str, carried: _Carried) -> None:
        """Adds a constant that meets channels element by element."""
        if name not in self.known:
            raise _FrozenError("values from elsewhere are put together with them")
        shape = self.known[name].shape
        axis = len(shape) - 1 if carried.axis < 0 else len(shape) - carried.rank + 1
        if axis < 0 or shape[axis] == 1:
            return
        if shape[axis] != self.channels * carried.block:
            raise _FrozenError(f"`{name}` does not fit")
        self._add(name, axis, carried.block)

    def _follow(self, node: onnx.NodeProto, places: list[int]) -> None:
        kind = node.op_type if node.domain in {"", "ai.onnx"} else node.domain
        carried = self.carried[node.input[places[0]]]
        if kind in _ELEMENTWISE:
            self._elementwise(node, places, carried)
        elif kind in _PRODUCERS and places == [0]:
            self._take(node, carried)
        elif kind in _POOLING and carried.axis == 1 and len(node.output) == 1:
            self.carried[node.output[0]] = carried
        elif kind in _STATISTICS and places == [0] and len(node.output) == 1:
            for name in node.input[1:]:
                self._add(name, 0)
            self.carried[node.output[0]] = carried
        elif kind == "ReduceMean" and _is_over_places(node, self.known):
            is_flat = attributes(node).get("keepdims", 1) == 0
            self.carried[node.output[0]] = _Carried(-1, 2) if is_flat else carried
        elif kind in {"Flatten", "Reshape"} and carried.axis == 1:
            self._flatten(node)
        else:
            raise _FrozenError(f"{called(node)} uses them, which is no kind that is followed")

    def _elementwise(self, node: onnx.NodeProto, places: list[int], carried: _Carried) -> None:
        for place, name in enumerate(node.input):
            if place in places:
                if self.carried[name] != carried:
                    raise _FrozenError("they meet in other shapes")
            elif name:
                self._broadcast(name, carried)
        self.carried[node.output[0]] = carried

    def _take(self, node: onnx.NodeProto, carried: _Carried) -> None:
        if is_kept(node, self.kept):
            raise _FrozenError(f"{called(node)}, which was named as one that stays, takes them")
        given, weight = attributes(node), self.known.get(node.input[1])
        is_convolution = node.op_type == "Conv"
        if weight is None:
            raise _FrozenError(f"the weights of {called(node)} are computed")
        is_along = carried.axis == (1 if is_convolution else -1)
        if not is_along or given.get("transA", 0) or (weight.ndim != 2 and not is_convolution):
            raise _FrozenError(f"{called(node)} takes them along another axis")
        if given.get("group", 1) != 1:
            self._take_depthwise(node, given["group"], weight, carried)
            return
        axis = 1 if is_convolution or given.get("transB", 0) else 0
        bias = self._bias(node)
        if weight.shape[axis] != self.channels * carried.block:
            raise _FrozenError(f"{called(node)} takes others as well")
        self._add(node.input[1], axis, carried.block)
        is_vector = bias in self.known and self.known[bias].ndim == 1
        is_own = is_vector and len(self.used[bias]) == 1
        taker = Taker(node.input[0], carried.axis, self.parts[-1], bias if is_own else "")
        self.takers.append(taker)

    def _bias(self, node: onnx.NodeProto) -> str:
        """Returns the constant that is added to a product, if nothing else is made of that."""
        given = attributes(node)
        if node.op_type != "MatMul":
            is_scaled = given.get("beta", 1.0) != 1.0 or given.get("alpha", 1.0) != 1.0
            return "" if is_scaled or _is_padded(given) else next(iter(node.input[2:]), "")
        after = self.used[node.output[0]]
        if len(after) != 1 or after[0].node is None or after[0].node.op_type != "Add":
            return ""
        return after[0].node.input[1 - after[0].place]

    def _take_depthwise(
        self, node: onnx.NodeProto, groups: int, weight: Array, carried: _Carried
    ) -> None:
        if groups != self.channels or len(weight) != groups:
            raise _FrozenError(f"{called(node)} convolves groups of them")
        for name in filter(None, node.input[1:]):
            self._add(name, 0)
        self.depthwise.append(node.output[0])
        self.carried[node.output[0]] = carried

    def _flatten(self, node: onnx.NodeProto) -> None:
        """Follows values of several axes that become rows of numbers, channel by channel."""
        width = _asked_width(node, self.known)
        if width is None:
            raise _FrozenError(f"{called(node)} gives them another shape")
        block, rest = divmod(width or self._taken_width(node.output[0]), self.channels)
        if rest or not block:
            raise _FrozenError(f"{called(node)} gives them a shape that is not known")
        if width:
            shape = node.input[1]
            if len(self.used[shape]) > 1:
                raise _FrozenError(f"`{shape}` is used in several places")
            self.shapes.append(Part(shape, 0, block))
        self.carried[node.output[0]] = _Carried(-1, 2, block)

    def _taken_width(self, name: str) -> int:
        """Returns how many numbers of a row the first who weighs them takes."""
        for node in (use.node for use in self.used[name]):
            if node is None:
                continue
            if node.op_type in _ELEMENTWISE:
                return self._taken_width(node.output[0])
            if node.op_type in {"Gemm", "MatMul"} and node.input[1] in self.known:
                axis = 1 if attributes(node).get("transB", 0) else 0
                return int(self.known[node.input[1]].shape[axis])
        return 0


def _is_padded(given: dict[str, Any]) -> bool:
    return bool(np.any(given.get("pads", [0]))) or given.get("auto_pad", b"NOTSET") != b"NOTSET"


def _is_over_places(node: onnx.NodeProto, known: dict[str, Array]) -> bool:
    """Returns whether a mean is over all places of an image."""
    axes = attributes(node).get("axes")
    if axes is None and len(node.input) > 1 and node.input[1] in known:
        axes = known[node.input[1]].tolist()
    return sorted(axes or []) in ([2, 3], [-2, -1])


def _asked_width(node: onnx.NodeProto, known: dict[str, Array]) -> int | None:
    """Returns the width of rows that a node makes: 0 if it does not say, None if not rows."""
    if node.op_type == "Flatten":
        return 0 if attributes(node).get("axis", 1) == 1 else None
    shape = known.get(node.input[1])
    return None if shape is None or len(shape) != 2 else max(int(shape[1]), 0)
