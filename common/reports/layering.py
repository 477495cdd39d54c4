"""Places of the nodes of a directed graph in layers (after Sugiyama, Tagawa and Toda, 1981)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

_SWEEPS = 8
# A passing edge gives way to nodes: the main line stays straight.
_PASSING_WEIGHT = 0.001

Edge = tuple[str, str]
# A node's id, or the place where edges from a node pass a layer.
Slot = str | tuple[str, int]


@dataclass(frozen=True)
class Layering:
    """Where nodes stand and edges lead.

    Attributes:
        layers: Layers of nodes, 0 at the top.
        columns: Places of nodes from left to right; neighbours in a layer are at least 1 apart.
        ways: Points (column, layer) of each edge from its first node to its second.
        widths: How many places each layer has, passing edges included.
    """

    layers: dict[str, int]
    columns: dict[str, float]
    ways: dict[Edge, list[tuple[float, int]]]
    widths: list[int]


@dataclass
class _Slots:
    """What stands in the layers, from left to right, and what it is joined to."""

    rows: list[list[Slot]]
    above: dict[Slot, list[Slot]] = field(default_factory=dict)
    below: dict[Slot, list[Slot]] = field(default_factory=dict)

    def join(self, upper: Slot, lower: Slot) -> None:
        self.below.setdefault(upper, []).append(lower)
        self.above.setdefault(lower, []).append(upper)


def layered(nodes: Sequence[str], edges: Sequence[Edge]) -> Layering:
    """Returns a drawing in which every edge leads downwards.

    A node's layer is the longest path to it. Edges from one node that pass layers share their way.

    Args:
        nodes: Ids, unique.
        edges: Pairs of ids.

    Raises:
        ValueError: An edge is of an unknown node, or the edges form a cycle.
    """
    layers = _layers(nodes, edges)
    slots = _slots(layers, edges)
    columns = _columns(slots)
    ways = {
        (source, target): [(columns[slot], layer) for slot, layer in _way(layers, source, target)]
        for source, target in edges
    }
    placed = {node: columns[node] for node in nodes}
    return Layering(layers, placed, ways, [len(row) for row in slots.rows])


def _layers(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    parents: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        if source not in parents or target not in parents:
            raise ValueError(f"edge {source!r} to {target!r} is of an unknown node")
        parents[target].append(source)
    layers: dict[str, int] = {}
    try:
        for node in TopologicalSorter(parents).static_order():
            layers[node] = max((layers[parent] + 1 for parent in parents[node]), default=0)
    except CycleError as error:
        raise ValueError(f"edges form a cycle: {' to '.join(error.args[1])}") from error
    return {node: layers[node] for node in nodes}


def _way(layers: Mapping[str, int], source: str, target: str) -> Iterator[tuple[Slot, int]]:
    """Yields what an edge leads through, with layers."""
    yield source, layers[source]
    for layer in range(layers[source] + 1, layers[target]):
        yield (source, layer), layer
    yield target, layers[target]


def _slots(layers: Mapping[str, int], edges: Sequence[Edge]) -> _Slots:
    slots = _Slots([[] for _ in range(max(layers.values()) + 1)])
    lowest: dict[str, str] = {}
    for source, target in edges:
        if layers[target] > layers[lowest.setdefault(source, target)]:
            lowest[source] = target
    for source, target in lowest.items():
        for slot, layer in list(_way(layers, source, target))[1:-1]:
            slots.rows[layer].append(slot)
            slots.join((source, layer - 1) if (layer - 1) > layers[source] else source, slot)
    # Edges pass on the left where they can: labels are on the right.
    for node, layer in layers.items():
        slots.rows[layer].append(node)
    for source, target in dict.fromkeys(edges):
        *_, (last, _), _ = _way(layers, source, target)
        slots.join(last, target)
    return slots


def _columns(slots: _Slots) -> dict[Slot, float]:
    """Returns columns, by sweeps that draw each slot to the middle of its neighbours."""
    columns = {slot: place - len(row) / 2 for row in slots.rows for place, slot in enumerate(row)}
    # The last sweep goes down, so that a chain stands right below what it begins with.
    for sweep in range(_SWEEPS + 1):
        down = sweep % 2 == 0
        for row in slots.rows if down else reversed(slots.rows):
            _place(row, slots.above if down else slots.below, columns)
    return columns


def _place(
    row: list[Slot], joined: Mapping[Slot, Sequence[Slot]], columns: dict[Slot, float]
) -> None:
    """Sorts a row by the columns that its slots want, and puts these as near to them as they go."""
    wanted = {slot: _middle(joined.get(slot) or (slot,), columns) for slot in row}
    row.sort(key=wanted.__getitem__)
    columns.update(zip(row, _apart([(wanted[slot], _weight(slot)) for slot in row]), strict=True))


def _middle(slots: Sequence[Slot], columns: Mapping[Slot, float]) -> float:
    weights = [_weight(slot) for slot in slots]
    return sum(w * columns[slot] for w, slot in zip(weights, slots, strict=True)) / sum(weights)


def _weight(slot: Slot) -> float:
    return 1.0 if isinstance(slot, str) else _PASSING_WEIGHT


def _apart(wanted: Sequence[tuple[float, float]]) -> list[float]:
    """Returns columns at least 1 apart, in order, as near as can be to those that are wanted.

    Nearness is the sum of squares; less the places, it is an isotonic regression (pooling of
    neighbours that are out of order: Ayer and others, 1955).

    Args:
        wanted: Columns with their weights, ascending.
    """
    pools: list[tuple[float, float, int]] = []
    for place, (column, weight) in enumerate(wanted):
        mean, mass, count = column - place, weight, 1
        while pools and pools[-1][0] > mean:
            before, more, others = pools.pop()
            mean = (mean * mass + before * more) / (mass + more)
            mass, count = mass + more, count + others
        pools.append((mean, mass, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [place + mean for place, mean in enumerate(means)]
