"""Networks without some of their units: really, and as they are only set to 0."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from common.networks.program import Argument, Operation, Ref
from common.networks.program_network import ProgramNetwork, base_name
from services.pruner.domain.dependencies.graph import Dependencies
from services.pruner.domain.dependencies.layers import GROUPS, groups_of
from services.pruner.domain.dependencies.layout import Layout
from services.pruner.domain.dependencies.units import Labels

_OPEN = -1
"""A size that follows from the others."""


def masked(dependencies: Dependencies, units: Collection[int]) -> ProgramNetwork:
    """Returns a network in which everything that units are made of is 0."""
    states = dependencies.network.copied_states()
    for place in dependencies.roots:
        name, at = place
        indices = torch.from_numpy(dependencies.removed(place, frozenset(units)))
        states[name].index_fill_(at, indices, 0)
    return dependencies.network.changed(dependencies.network.program, states)


def without(dependencies: Dependencies, units: Collection[int]) -> ProgramNetwork:
    """Returns a network without units.

    Raises:
        ValueError: Nothing would be left of a dimension, or a unit may not go.
    """
    for unit in units:
        reason = dependencies.following.units.reason(unit)
        if reason:
            raise ValueError(f"Unit {unit} may not go: {reason}.")
    gone = frozenset(units)
    states = dependencies.network.copied_states()
    for place, roots in dependencies.roots.items():
        name, at = place
        kept = np.flatnonzero(~np.isin(roots, list(gone)))
        if not len(kept):
            raise ValueError(f"Nothing would be left of {name}.")
        states[name] = states[name].index_select(at, torch.from_numpy(kept))
    rewriter = _Rewriter(dependencies, gone)
    program = dependencies.network.program
    operations = tuple(rewriter.rewritten(each) for each in program.operations)
    return dependencies.network.changed(replace(program, operations=operations), states)


@dataclass(frozen=True)
class _Rewriter:
    """Writes the constants of operations anew.

    Attributes:
        dependencies: Of the network.
        gone: Units that go.
    """

    dependencies: Dependencies
    gone: frozenset[int]

    def rewritten(self, operation: Operation) -> Operation:
        """Returns an operation with the sizes that are left."""
        rule = _REWRITTEN.get(base_name(operation.kind))
        return operation if rule is None else rule(self, operation)

    def kept(self, layout: Layout, at: int) -> Labels | None:
        """Returns which indices of an axis stay, as booleans; None where all do."""
        band = layout.band(at)
        if band is None:
            return None
        roots = self.dependencies.following.units.roots(band.labels)
        own = band.axes.index(layout.axes[at])
        is_gone = np.isin(roots, list(self.gone))
        others = tuple(each for each in range(is_gone.ndim) if each != own)
        return np.asarray(~is_gone.all(axis=others))

    def size(self, layout: Layout, at: int) -> int:
        """Returns how many indices of an axis stay."""
        kept = self.kept(layout, at)
        return layout.axes[at].size if kept is None else int(kept.sum())

    def layout(self, operation: Operation) -> Any:
        """Returns the layout of what an operation gave."""
        return self.dependencies.following.layouts[operation.name]

    def source(self, argument: Argument) -> Layout:
        """Returns the layout of what an operation takes."""
        found: Layout = self.dependencies.following.layout(argument)
        return found

    def sizes(self, layout: Layout, given: Any, first: int = 0) -> tuple[Argument, ...]:
        """Returns sizes as they are given, made as small as axes from the first on have become."""
        found: list[Argument] = []
        for at, each in enumerate(given, first):
            is_labelled = layout.band(at) is not None
            if isinstance(each, Ref):
                found.append(_OPEN if is_labelled else each)
            else:
                found.append(each if each == _OPEN else self.size(layout, at))
        return tuple(found)


def _reshaped(rewriter: _Rewriter, operation: Operation) -> Operation:
    first, sizes, *rest = operation.arguments
    return replace(
        operation, arguments=(first, rewriter.sizes(rewriter.layout(operation), sizes), *rest)
    )


def _unflattened(rewriter: _Rewriter, operation: Operation) -> Operation:
    given: Any = operation.arguments
    first, at, sizes = given
    start = at % len(rewriter.source(first).axes)
    found = rewriter.sizes(rewriter.layout(operation), sizes, start)
    return replace(operation, arguments=(first, at, found))


def _created(rewriter: _Rewriter, operation: Operation) -> Operation:
    sizes, *rest = operation.arguments
    found = rewriter.sizes(rewriter.layout(operation), sizes)
    return replace(operation, arguments=(found, *rest))


def _split(rewriter: _Rewriter, operation: Operation) -> Operation:
    given: dict[int, Any] = dict(enumerate(operation.arguments))
    at = given.get(2, 0)
    sizes = tuple(rewriter.size(each, at) for each in rewriter.layout(operation))
    arguments = (operation.arguments[0], sizes, at)
    return Operation(operation.name, "aten.split_with_sizes.default", arguments)


def _sliced(rewriter: _Rewriter, operation: Operation) -> Operation:
    given: dict[int, Any] = {1: 0, 2: None, 3: None} | dict(enumerate(operation.arguments))
    kept = rewriter.kept(rewriter.source(operation.arguments[0]), int(given[1]))
    if kept is None or given.get(4, 1) != 1:
        return operation
    start, end, _ = slice(given[2], given[3]).indices(len(kept))
    ends = (int(kept[:start].sum()), int(kept[:end].sum()))
    return replace(operation, arguments=(given[0], given[1], *ends))


def _convolved(rewriter: _Rewriter, operation: Operation) -> Operation:
    if groups_of(operation) == 1:
        return operation
    inputs, weight = (rewriter.source(each) for each in operation.arguments[:2])
    groups = rewriter.size(inputs, 1) // rewriter.size(weight, 1)
    arguments = list(operation.arguments)
    if len(arguments) > GROUPS:
        arguments[GROUPS] = groups
        return replace(operation, arguments=tuple(arguments))
    return replace(operation, options={**operation.options, "groups": groups})


def _normalised(rewriter: _Rewriter, operation: Operation) -> Operation:
    layout = rewriter.source(operation.arguments[0])
    groups: Any = operation.arguments[1]
    each = layout.axes[1].size // groups
    first, _, *rest = operation.arguments
    return replace(operation, arguments=(first, rewriter.size(layout, 1) // each, *rest))


_REWRITTEN: Mapping[str, Callable[[_Rewriter, Operation], Operation]] = MappingProxyType(
    {
        **dict.fromkeys(("view", "reshape", "expand"), _reshaped),
        **dict.fromkeys(("empty", "full", "ones", "zeros"), _created),
        **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
        **{f"conv{count}d": _convolved for count in (1, 2, 3)},
        "group_norm": _normalised,
        "slice": _sliced,
        "unflatten": _unflattened,
    }
)
