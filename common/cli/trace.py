"""`aimass trace`: draws what a resource came from and what came of it."""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from aimass.catalog.v1 import lineage_pb2
from common.cli.context import context_of
from common.cli.text import harmless

_Neighbours = Mapping[str, list[str]]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(trace)


def trace(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="For example models/iris or datasets/iris/versions/2.")
    ],
    depth: Annotated[int, typer.Option(help="Steps to walk each way.")] = 20,
) -> None:
    """Draw the lineage of a resource: what it came from above, what came of it below."""
    cli = context_of(context)
    request = lineage_pb2.TraceRequest(name=_full(name), depth=depth)
    found = cli.clients.lineage.Trace(request)
    if cli.as_json:
        cli.print_json([found])
        return
    show_lineage(found, cli.console)


def show_lineage(found: lineage_pb2.TraceResponse, console: Console) -> None:
    """Prints the trees of a lineage."""
    for tree in draw(found):
        console.print(tree, soft_wrap=True)
    if found.truncated:
        console.print("[dim]There is more; ask with a larger --depth, or from nearer.[/]")


def draw(found: lineage_pb2.TraceResponse) -> list[Tree]:
    """Returns a tree of what went in, where anything did, and one of what came out.

    A resource that was drawn before is named again, and its branch not repeated.
    """
    nodes = {node.name: node for node in found.nodes}
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for edge in found.edges:
        above.setdefault(edge.output, []).append(edge.input)
        below.setdefault(edge.input, []).append(edge.output)
    trees = []
    for neighbours, title in ((above, "came from"), (below, "led to")):
        if found.name in neighbours:
            trees.append(_tree(found.name, neighbours, title, lambda name: _label(nodes[name])))
    return trees or [Tree(_label(nodes[found.name]))]


def _tree(root: str, neighbours: _Neighbours, title: str, label: Callable[[str], str]) -> Tree:
    tree = Tree(f"{label(root)} [dim]{title}[/]")
    drawn = {root}
    waiting = [(each, tree) for each in reversed(neighbours[root])]
    while waiting:
        name, branch = waiting.pop()
        # In the order of the lines, so that what was drawn before stands above.
        is_known = name in drawn and name in neighbours
        twig = branch.add(label(name) + (" [dim](see above)[/]" if is_known else ""))
        if name not in drawn:
            drawn.add(name)
            waiting += [(each, twig) for each in reversed(neighbours.get(name, ()))]
    return tree


def _label(node: lineage_pb2.LineageNode) -> str:
    words = [f"[bold]{escape(harmless(node.name))}[/]"]
    if node.state:
        state = escape(harmless(node.state))
        words.append(f"[green]{state}[/]" if state == "SUCCEEDED" else state)
    if node.summary:
        words.append(escape(harmless(node.summary)))
    if node.deleted:
        words.append("[dim](deleted)[/]")
    return " ".join(words)


def _full(name: str) -> str:
    """Returns the name of a version where a data set or a model was named."""
    collection, _, rest = name.partition("/")
    is_line = collection in ("datasets", "models") and "/" not in rest
    return f"{name}/versions/latest" if is_line else name
