"""How `aimass trace` draws."""

from collections.abc import Sequence
from io import StringIO

from aimass.catalog.v1 import lineage_pb2
from common.cli.context import make_console
from common.cli.trace import draw

EDGES = [
    ("uploads/u", "datasetImports/i"),
    ("datasetImports/i", "datasets/d/versions/1"),
    ("datasets/d/versions/1", "trainingRuns/t"),
    ("datasets/d/versions/1", "trainingRuns/s"),
    ("trainingRuns/t", "models/m/versions/1"),
    ("models/m/versions/1", "trainingRuns/s"),
    ("trainingRuns/s", "models/m/versions/2"),
]


def drawn(name: str, edges: Sequence[tuple[str, str]] = EDGES) -> list[str]:
    """Returns the lines that are printed for a resource."""
    names = dict.fromkeys([name, *(each for edge in edges for each in edge)])
    found = lineage_pb2.TraceResponse(
        name=name,
        nodes=[
            lineage_pb2.LineageNode(name=each, deleted=each == "uploads/u", summary="[a]")
            for each in names
        ],
        edges=[lineage_pb2.LineageEdge(input=source, output=target) for source, target in edges],
    )
    out = StringIO()
    console = make_console(out)
    for tree in draw(found):
        console.print(tree)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_both_ways_as_trees() -> None:
    """What it came from, to the raw data, and what came of it; a shared branch stands once."""
    assert drawn("models/m/versions/2") == [
        "models/m/versions/2 [a] came from",
        "└── trainingRuns/s [a]",
        "    ├── datasets/d/versions/1 [a]",
        "    │   └── datasetImports/i [a]",
        "    │       └── uploads/u [a] (deleted)",
        "    └── models/m/versions/1 [a]",
        "        └── trainingRuns/t [a]",
        "            └── datasets/d/versions/1 [a] (see above)",
    ]
    lines = drawn("models/m/versions/1")
    assert lines[0] == "models/m/versions/1 [a] came from"
    assert "models/m/versions/1 [a] led to" in lines
    assert lines[-1] == "    └── models/m/versions/2 [a]"


def test_a_branch_stands_where_it_is_met_first() -> None:
    """What is said to stand above does, also where a shared branch is met in two depths."""
    edges = [("r", "deep"), ("deep", "deeper"), ("deeper", "shared"), ("r", "shared")]
    assert drawn("r", [*edges, ("shared", "end")]) == [
        "r [a] led to",
        "├── deep [a]",
        "│   └── deeper [a]",
        "│       └── shared [a]",
        "│           └── end [a]",
        "└── shared [a] (see above)",
    ]
    assert drawn("r", [edges[-1], *edges[:-1], ("shared", "end")]) == [
        "r [a] led to",
        "├── shared [a]",
        "│   └── end [a]",
        "└── deep [a]",
        "    └── deeper [a]",
        "        └── shared [a] (see above)",
    ]
