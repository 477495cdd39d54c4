"""What came from what: walks the graph of resources, whatever their kinds.

Upwards a resource names what it came from: its references, and the `lineage` that it or its status
carries. Downwards reverse markers name those that refer to it. So kinds that come later are found
without a change here.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from common.errors import NotFoundError
from common.records import RecordStore
from services.catalog.domain.existence import require_resource

MAX_NODES = 1000

_RUN_STATE = "RUN_STATE_"
_SINGULARS = {"analyses": "analysis"}


@dataclass(frozen=True)
class Node:
    """A resource in the graph. See `aimass.catalog.v1.LineageNode`."""

    name: str
    kind: str
    state: str = ""
    summary: str = ""
    deleted: bool = False


@dataclass
class Trace:
    """The neighbourhood of a resource.

    Attributes:
        nodes: By name, the resource that was asked for first.
        edges: Pairs of input and output.
        truncated: Whether there is more.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: set[tuple[str, str]] = field(default_factory=set)
    truncated: bool = False


@dataclass(frozen=True)
class _Resource:
    node: Node
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class Tracer:
    """Walks from a resource up and down. Safe to use from several threads."""

    def __init__(self, records: RecordStore) -> None:
        """Walks over these resources."""
        self._records = records

    def trace(self, name: str, *, up: bool, down: bool, depth: int) -> Trace:
        """Returns what a resource came from and what came of it.

        Args:
            name: Name of a stored resource.
            up: Whether to walk to what it came from.
            down: Whether to walk to what came of it.
            depth: Steps to walk each way.

        Raises:
            NotFoundError: There is no such resource.
        """
        trace = Trace()
        root = self._read(require_resource(self._records, name, "name"))
        known = {name: root}
        trace.nodes[name] = root.node
        for upwards, wanted in ((True, up), (False, down)):
            if wanted:
                self._walk(name, upwards, depth, known, trace)
        trace.edges = _without_shortcuts(trace)
        return trace

    def _walk(
        self, start: str, upwards: bool, depth: int, known: dict[str, _Resource], trace: Trace
    ) -> None:
        queue = deque([(start, 0)])
        seen = {start}
        while queue:
            name, steps = queue.popleft()
            neighbours = known[name].inputs if upwards else self._below(known[name])
            if steps == depth:
                trace.truncated |= any(each not in trace.nodes for each in neighbours)
                continue
            for each in neighbours:
                if each not in known:
                    if len(trace.nodes) >= MAX_NODES:
                        trace.truncated = True
                        return
                    known[each] = self._read(each)
                    trace.nodes[each] = known[each].node
                trace.edges.add((each, name) if upwards else (name, each))
                if each not in seen:
                    seen.add(each)
                    queue.append((each, steps + 1))

    def _below(self, resource: _Resource) -> Iterable[str]:
        if resource.node.deleted:
            return ()
        return dict.fromkeys([*self._records.referrers(resource.node.name), *resource.outputs])

    def _read(self, name: str) -> _Resource:
        try:
            record = self._records.get(name, Struct)
        except NotFoundError:
            return _Resource(Node(name, _kind(name), deleted=True))
        body = cast(Mapping[str, Any], json_format.MessageToDict(record.resource))
        status = body.get("status", {})
        lineages = [body.get("lineage", {}), status.get("lineage", {})]
        inputs = [
            *record.references,
            *(name for each in lineages for name in each.get("inputs", ())),
        ]
        outputs = [name for each in lineages for name in each.get("outputs", ())]
        state = str(status.get("state", "")).removeprefix(_RUN_STATE)
        node = Node(name, _kind(name), state, _summary(body))
        return _Resource(node, tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(outputs)))


def _without_shortcuts(trace: Trace) -> set[tuple[str, str]]:
    """Leaves out what a run explains: data that went into a run that made the model."""
    inputs: dict[str, set[str]] = {}
    for source, target in trace.edges:
        inputs.setdefault(target, set()).add(source)
    return {
        (source, target)
        for source, target in trace.edges
        if not any(source in inputs.get(each, ()) for each in inputs[target] - {source})
    }


def _kind(name: str) -> str:
    collection, *rest = name.split("/")
    singular = _SINGULARS.get(collection, collection.removesuffix("s"))
    return f"{singular}Version" if len(rest) == 3 else singular


def _summary(body: Mapping[str, Any]) -> str:
    """Returns a few words for people."""
    if "filename" in body:
        return str(body["filename"])
    if "rowCount" in body:
        return f"{int(body['rowCount']):,} rows"
    metrics = body.get("metrics", {})
    if metrics:
        shown = min(metrics, key=_told_first)
        return f"{shown} {float(metrics[shown]):.4g}"
    return str(body.get("status", {}).get("error", {}).get("message", ""))[:200]


def _told_first(metric: str) -> tuple[bool, bool, bool, str]:
    """Orders metrics: those that people ask for, and of these what was measured on other rows."""
    is_seen = metric.startswith("train/")
    return "accuracy" not in metric, "r2" not in metric, is_seen, metric
