"""The layers of a network that take its time, by their shapes."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.networks.program import Argument, Operation
from common.networks.program_network import base_name
from services.pruner.domain.dependencies.graph import Dependencies
from services.pruner.domain.dependencies.layers import groups_of
from services.pruner.domain.dependencies.layout import Layout
from services.pruner.domain.dependencies.units import Labels

_STRIDE, _PADDING, _DILATION = 3, 4, 5
_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")


@dataclass(frozen=True)
class LayerShape:
    """A convolution or a matrix.

    Attributes:
        rows: Rows at once; of a matrix times what other dimensions its input has.
        inputs: Channels or features that come in.
        outputs: Those that come out.
        extents: Height and width that come in, or length; empty for a matrix.
        kernel: Shaped alike.
        stride: Shaped alike.
        padding: Shaped alike.
        dilation: Shaped alike.
        groups: Of channels.
    """

    rows: int
    inputs: int
    outputs: int
    extents: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    @property
    def weights(self) -> int:
        """How many weights it has."""
        return self.inputs * self.outputs // self.groups * math.prod(self.kernel)

    @property
    def multiplications(self) -> int:
        """How many multiply-accumulates it does."""
        found = self.rows * self.inputs * self.outputs // self.groups
        spans = zip(
            self.extents, self.kernel, self.stride, self.padding, self.dilation, strict=True
        )
        for extent, kernel, stride, padding, dilation in spans:
            places = (extent + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            found *= kernel * places
        return found


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer and the units that its widths are made of.

    Attributes:
        shape: As it is.
        inputs: Unit of each channel that comes in; None where none may go.
        outputs: Of those that come out.
        each: Of those that a group of a convolution takes in.
    """

    shape: LayerShape
    inputs: Labels | None
    outputs: Labels | None
    each: Labels | None = None

    @property
    def units(self) -> frozenset[int]:
        """All that its time depends on."""
        known = [each for each in (self.inputs, self.outputs, self.each) if each is not None]
        return frozenset(np.concatenate(known).tolist()) if known else frozenset()

    def without(self, gone: Collection[int]) -> LayerShape:
        """Returns its shape without some units."""
        inputs = _left(self.inputs, self.shape.inputs, gone)
        each = _left(self.each, self.shape.inputs // self.shape.groups, gone)
        return replace(
            self.shape,
            inputs=inputs,
            outputs=_left(self.outputs, self.shape.outputs, gone),
            groups=1 if self.shape.groups == 1 else inputs // each,
        )


def _left(units: Labels | None, width: int, gone: Collection[int]) -> int:
    return width if units is None else int((~np.isin(units, list(gone))).sum())


def layers_of(dependencies: Dependencies, rows: int) -> Mapping[str, Layer]:
    """Returns the convolutions and matrices of a network by the name of their operation.

    Args:
        dependencies: Of the network.
        rows: Rows at once.
    """
    found: dict[str, Layer] = {}
    for operation in dependencies.network.program.operations:
        name = base_name(operation.kind)
        if name in _CONVOLUTIONS:
            found[operation.name] = _convolution(dependencies, operation, rows)
        elif name == "linear":
            found[operation.name] = _matrix(dependencies, operation, rows)
    return found


def _convolution(dependencies: Dependencies, operation: Operation, rows: int) -> Layer:
    inputs, weight = _layouts(dependencies, operation)
    extents = inputs.shape[2:]
    given: Any = dict(enumerate(operation.arguments))
    shape = LayerShape(
        rows=rows,
        inputs=inputs.shape[1],
        outputs=weight.shape[0],
        extents=extents,
        kernel=weight.shape[2:],
        stride=_spread(given.get(_STRIDE, 1), extents),
        padding=_padding(given.get(_PADDING, 0), weight.shape[2:], extents),
        dilation=_spread(given.get(_DILATION, 1), extents),
        groups=groups_of(operation),
    )
    return _layer(dependencies, shape, inputs, weight, 1)


def _matrix(dependencies: Dependencies, operation: Operation, rows: int) -> Layer:
    inputs, weight = _layouts(dependencies, operation)
    each = 1
    for size in inputs.shape[1:-1]:
        each *= size
    shape = LayerShape(rows * each, weight.shape[1], weight.shape[0])
    return _layer(dependencies, shape, inputs, weight, -1)


def _layouts(dependencies: Dependencies, operation: Operation) -> tuple[Layout, Layout]:
    first, second = (dependencies.following.layout(each) for each in operation.arguments[:2])
    return first, second


def _layer(
    dependencies: Dependencies, shape: LayerShape, inputs: Layout, weight: Layout, at: int
) -> Layer:
    each = _units(dependencies, weight, 1) if shape.groups > 1 else None
    return Layer(shape, _units(dependencies, inputs, at), _units(dependencies, weight, 0), each)


def _units(dependencies: Dependencies, layout: Layout, at: int) -> Labels | None:
    band = layout.band(at)
    if band is None or len(band.axes) > 1:
        return None
    return dependencies.following.units.roots(band.labels)


def _spread(given: Argument, extents: tuple[int, ...]) -> tuple[int, ...]:
    values: Any = given if isinstance(given, tuple) else (given,)
    return tuple(values) * (len(extents) if len(values) == 1 else 1)


def _padding(given: Argument, kernel: tuple[int, ...], extents: tuple[int, ...]) -> tuple[int, ...]:
    if given == "same":
        return tuple(each // 2 for each in kernel)
    return _spread(0 if given == "valid" else given, extents)
