"""Drawings of graphs: every edge leads downwards, nothing lies upon another."""

import itertools
import random

import pytest

from common.reports.graph import GraphNode, graph_plot
from common.reports.layering import Edge, Layering, layered


def random_graph(seed: int) -> tuple[list[str], list[Edge]]:
    dice = random.Random(seed)
    nodes = [str(number) for number in range(40)]
    pairs = list(itertools.combinations(nodes, 2))
    return nodes, dice.sample(pairs, 60)


def crossings(layering: Layering) -> int:
    lines = [
        (upper[1], upper[0], lower[0])
        for way in layering.ways.values()
        for upper, lower in itertools.pairwise(way)
    ]
    return sum(
        first[0] == second[0] and (first[1] - second[1]) * (first[2] - second[2]) < 0
        for first, second in itertools.combinations(lines, 2)
    )


@pytest.mark.parametrize("seed", range(5))
def test_edges_lead_downwards_and_nodes_stand_apart(seed: int) -> None:
    """Whatever the graph: else it cannot be read."""
    nodes, edges = random_graph(seed)
    drawn = layered(nodes, edges)
    assert all(drawn.layers[source] < drawn.layers[target] for source, target in edges)
    for left, right in itertools.combinations(nodes, 2):
        if drawn.layers[left] == drawn.layers[right]:
            assert abs(drawn.columns[left] - drawn.columns[right]) > 1 - 1e-9


def test_layers_are_longest_paths() -> None:
    """A shortcut does not lift what it leads to."""
    drawn = layered(["a", "b", "c", "d"], [("a", "d"), ("a", "b"), ("b", "c"), ("c", "d")])
    assert drawn.layers == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_main_line_is_straight_and_shortcuts_pass_beside_it() -> None:
    """A residual network looks like one: its shortcuts do not lie upon the nodes they leave out."""
    nodes = [str(number) for number in range(13)]
    edges = list(itertools.pairwise(nodes)) + [(nodes[i], nodes[i + 4]) for i in (0, 4, 8)]
    drawn = layered(nodes, edges)
    assert max(drawn.columns.values()) - min(drawn.columns.values()) < 0.5
    way = drawn.ways["0", "4"]
    assert all(abs(column - drawn.columns["2"]) > 0.5 for column, _ in way[1:-1])


def test_rows_are_sorted_so_that_lines_do_not_cross() -> None:
    """Two chains given in opposite orders are drawn side by side."""
    drawn = layered(
        ["a", "b", "B", "A", "aa", "bb"], [("a", "A"), ("b", "B"), ("A", "aa"), ("B", "bb")]
    )
    assert crossings(drawn) == 0


def test_a_graph_of_400_nodes_is_drawn_quickly() -> None:
    """Also where many nodes lead to the last one; the test's time limit would tell."""
    nodes = [str(number) for number in range(400)]
    drawn = layered(nodes, [*itertools.pairwise(nodes), *((node, "399") for node in nodes[:-2:5])])
    assert len(drawn.widths) == 400


@pytest.mark.parametrize(
    ("nodes", "edges", "told"),
    [
        ("ab", [("a", "b"), ("b", "a")], "form a cycle"),
        ("ab", [("a", "c")], "'a' to 'c' is of an unknown node"),
        ("aa", [], "an id of its own"),
        ("", [], "needs nodes"),
    ],
)
def test_what_is_no_such_graph_is_refused(nodes: str, edges: list[Edge], told: str) -> None:
    """With the reason, as callers make graphs of what others made."""
    with pytest.raises(ValueError, match=told):
        graph_plot([GraphNode(node, node) for node in nodes], edges, "caption", "seen")


def test_labels_are_cut_to_the_room_and_told_in_full() -> None:
    """A label stays beside its node; the whole one is in the hint and in the numbers."""
    wide = [GraphNode(str(number), f"a long label {number}", "line\n<b>") for number in range(8)]
    plot = graph_plot(wide, [("0", str(number)) for number in range(1, 8)], "caption", "seen")
    _, nodes = plot.figure.data
    assert nodes.text[0] == "a long label 0"
    assert nodes.text[1].endswith("…")
    assert nodes.hovertext[1] == "<b>a long label 1</b><br>line<br>&lt;b&gt;"
    assert plot.numbers is not None
    assert list(plot.numbers.rows[1]) == ["a long label 1", "line <b>"]


def test_height_follows_the_layers_and_size_the_weight() -> None:
    """A long chain is a high drawing, with the same room for each node."""
    nodes = [GraphNode(str(number), "label", weight=number) for number in range(50)]
    chain = list(itertools.pairwise(node.id for node in nodes))
    plot = graph_plot(nodes, chain, "caption", "seen")
    assert plot.figure.layout.height > 40 * 50
    sizes = plot.figure.data[1].marker.size
    assert list(sizes) == sorted(sizes)
    assert plot.numbers is not None
    assert plot.numbers.columns == ["Node", "What it is", "Weight"]
