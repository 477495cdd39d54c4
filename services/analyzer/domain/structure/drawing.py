"""The graph of a model, drawn; one that is too large to be read is drawn coarsely, or cut."""

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from common.reports.graph import GraphNode, graph_plot
from common.reports.report import Plot
from common.reports.text import number
from services.analyzer.domain.structure.findings import Anatomy, StructureLayer
from services.analyzer.domain.structure.words import bytes_told, seconds_told, shape_told

_MOST_NODES = 120
_DEEPEST = 8
_SEPARATORS = re.compile(r"[./]")

Edge = tuple[str, str]


def drawing(anatomy: Anatomy) -> Plot:
    """Returns the drawing: layers by size of their share of the time, inputs on top."""
    groups, how = _groups(anatomy)
    inputs = [GraphNode(name, name, "input") for name in anatomy.inputs]
    members: dict[str, list[StructureLayer]] = {}
    for layer in anatomy.layers:
        if layer.name in groups:
            members.setdefault(groups[layer.name], []).append(layer)
    nodes = [_node(group, layers) for group, layers in members.items()]
    edges = _between(anatomy.edges, groups | {name: name for name in anatomy.inputs})
    caption = (
        "What goes from layer to layer, from the top down; the larger a point, the more of the "
        f"time it takes. {how}"
    )
    seen = (
        f"A graph of {len(nodes)} layers below {len(inputs)} inputs, with {len(edges)} connections."
    )
    return graph_plot([*inputs, *nodes], edges, caption.rstrip(), seen)


def _groups(anatomy: Anatomy) -> tuple[dict[str, str], str]:
    """Returns the node that stands for each layer that is drawn, and what that means, if anything.

    Layers of a module are drawn as one where there would be too many, as long as no edge leads
    back into it.
    """
    names = [layer.name for layer in anatomy.layers]
    if len(names) <= _MOST_NODES:
        return {name: name for name in names}, ""
    for depth in range(_DEEPEST, 0, -1):
        groups = {name: _cut(name, depth) for name in names}
        count = len(set(groups.values()))
        if 1 < count <= _MOST_NODES and _is_acyclic(_between(anatomy.edges, groups)):
            return groups, f"Of {len(names):,} layers, those of a module are drawn as one."
    first = {name: name for name in names[:_MOST_NODES]}
    return first, f"Only the first {_MOST_NODES} of {len(names):,} layers are drawn."


def _cut(name: str, depth: int) -> str:
    """Returns the first parts of a path."""
    ends = [match.start() for match in _SEPARATORS.finditer(name, 1)]
    return name if len(ends) < depth else name[: ends[depth - 1]]


def _between(edges: Iterable[Edge], groups: Mapping[str, str]) -> list[Edge]:
    found = dict.fromkeys(
        (groups[source], groups[target])
        for source, target in edges
        if source in groups and target in groups and groups[source] != groups[target]
    )
    return list(found)


def _is_acyclic(edges: Iterable[Edge]) -> bool:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for source, target in edges:
        sorter.add(target, source)
    try:
        sorter.prepare()
    except CycleError:
        return False
    return True


def _node(group: str, layers: Sequence[StructureLayer]) -> GraphNode:
    if len(layers) > 1:
        hint = [f"{len(layers)} layers", *_counts(layers)]
        return GraphNode(group, group, "\n".join(hint), _weight(layers))
    [layer] = layers
    hint = [layer.kind]
    if layer.output_shape:
        hint.append(f"gives {shape_told(layer.output_shape)}")
    hint += _counts(layers)
    hint += [f"{what}: {number(value)}" for what, value in layer.holds.items()]
    return GraphNode(group, f"{group} ({layer.kind})", "\n".join(hint), _weight(layers))


def _counts(layers: Sequence[StructureLayer]) -> list[str]:
    found = []
    parameters = sum(layer.parameter_count for layer in layers)
    if parameters:
        size = sum(layer.parameter_bytes for layer in layers)
        found.append(f"{parameters:,} parameters, {bytes_told(size)}")
    products = sum(layer.multiply_accumulates or 0 for layer in layers)
    if products:
        found.append(f"{products:,} multiply-accumulates a row")
    seconds = [layer.latency for layer in layers if layer.latency is not None]
    if seconds:
        found.append(f"takes {seconds_told(sum(seconds))} a batch")
    return found


def _weight(layers: Sequence[StructureLayer]) -> float | None:
    shares = [layer.latency_share for layer in layers if layer.latency_share is not None]
    return round(sum(shares), 5) if shares else 0.0
