"""Draws one trace as a waterfall: a row for each kind of work, a colour for each service."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from common.testing.spans import Span

COLOURS = {
    "catalog": "#4878a8",
    "outlier": "#b5651d",
    "tuner": "#6a8d3a",
    "trainer": "#a63d57",
    "pruner": "#7a5ba6",
    "analyzer": "#2a8c82",
}
"""By service; its runs' processes, agents and workers have its colour too."""

_PROCESSES = {
    "import": "catalog",
    "model": "catalog",
    "scan": "outlier",
    "tune": "tuner",
    "train": "trainer",
    "agent": "trainer",
    "worker": "trainer",
    "prune": "pruner",
    "analysis": "analyzer",
}
"""Services of processes that do not have their names, by the first part of the process's name."""

READS = "reads"
"""Label of calls that change nothing."""

_READING = ("Get", "List")
_WIDTH, _LABELS, _LEGEND, _ROW, _TOP, _MARGIN = 900, 250, 78, 15, 58, 12
_TICKS = 6
_LEAST_BAR = 2.0
_STYLE = (
    "text{font:12px ui-sans-serif,system-ui,sans-serif;fill:#24292f}"
    ".t{fill:#57606a}.h{font-size:14px;font-weight:600}.n{fill:#57606a}"
)


@dataclass(frozen=True)
class Row:
    """Work of one kind under the same parent: what is done again shares a row, and so do reads.

    Attributes:
        depth: How many rows it is inside of.
        service: Whose work it is.
        label: What is done.
        spans: When; at least one.
    """

    depth: int
    service: str
    label: str
    spans: Sequence[Span]


def service_of(span: Span) -> str:
    """Returns the service that a span's process belongs to."""
    name = span.service.removeprefix("aimass-")
    first = name.partition("-")[0]
    return first if first in COLOURS else _PROCESSES.get(first, first)


def label_of(span: Span) -> str:
    """Returns what a span did: the method of a call, or the process and its work."""
    if "/" not in span.name:
        return f"{span.service.removeprefix('aimass-')}: {span.name.rpartition('.')[2]}"
    method = span.name.rpartition("/")[2]
    return READS if method.startswith(_READING) else method


def rows_of(spans: Sequence[Span]) -> list[Row]:
    """Returns the rows of a trace from the top, each below the one that it is part of.

    What only follows a run is left out: streams, and what the client itself reads.
    """
    known = {span.id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda each: each.begin):
        parent = span.parent if span.parent in known else ""
        if label_of(span).startswith("Watch") or (label_of(span) == READS and not parent):
            continue
        children[parent].append(span)
    return list(_below([""], children, 0))


def _below(
    parents: Sequence[str], children: Mapping[str, Sequence[Span]], depth: int
) -> Iterator[Row]:
    alike: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in (each for parent in parents for each in children.get(parent, ())):
        alike[service_of(span), label_of(span)].append(span)
    for (service, label), spans in alike.items():
        yield Row(depth, service, label, spans)
        yield from _below([each.id for each in spans], children, depth + 1)


def draw(spans: Sequence[Span], title: str) -> str:
    """Returns the picture of a trace as SVG.

    Args:
        spans: Of one trace.
        title: Stands above it.

    Raises:
        ValueError: There are none.
    """
    if not spans:
        raise ValueError("a trace without spans has no picture")
    rows = rows_of(spans)
    begin = min(span.begin for row in rows for span in row.spans)
    seconds = max(max(span.end for row in rows for span in row.spans) - begin, 1e-3)
    height = _TOP + _ROW * len(rows) + 2 * _MARGIN
    scale = (_WIDTH - _LABELS - _MARGIN) / seconds
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="h" x="{_MARGIN}" y="22">{escape(title)}</text>',
        *_legend(rows),
        *_grid(seconds, scale, height),
    ]
    for number, row in enumerate(rows):
        lines += _row(row, _TOP + _ROW * number, begin, scale)
    return "\n".join([*lines, "</svg>", ""])


def _legend(rows: Sequence[Row]) -> Iterator[str]:
    seen = {row.service for row in rows}
    shown = [each for each in COLOURS if each in seen]
    for number, name in enumerate(shown):
        x = _WIDTH - _LEGEND * (len(shown) - number)
        yield f'<rect x="{x}" y="12" width="11" height="11" fill="{COLOURS[name]}"/>'
        yield f'<text x="{x + 16}" y="22">{name}</text>'


def _grid(seconds: float, scale: float, height: int) -> Iterator[str]:
    for number in range(_TICKS + 1):
        x = _LABELS + scale * seconds * number / _TICKS
        anchor = "end" if number == _TICKS else "middle"
        yield f'<path d="M{x:.1f} {_TOP - 6}V{height - _MARGIN}" stroke="#e4e7eb"/>'
        place = f'x="{x:.1f}" y="{_TOP - 12}" text-anchor="{anchor}"'
        yield f'<text class="t" {place}>{seconds * number / _TICKS:.0f} s</text>'


def _row(row: Row, y: float, begin: float, scale: float) -> Iterator[str]:
    colour = COLOURS.get(row.service, "#6e7781")
    count = f' <tspan class="n">&#215; {len(row.spans)}</tspan>' if len(row.spans) > 1 else ""
    x = _MARGIN + 14 * row.depth
    yield f'<rect x="{x}" y="{y + 3}" width="8" height="8" fill="{colour}"/>'
    yield f'<text x="{x + 13}" y="{y + 11}">{escape(row.label)}{count}</text>'
    for span in row.spans:
        left, width = _LABELS + scale * (span.begin - begin), scale * (span.end - span.begin)
        edge = ' stroke="#d1242f"' if span.failed else ""
        yield (
            f'<rect x="{left:.1f}" y="{y + 2}" width="{max(width, _LEAST_BAR):.1f}" height="11" '
            f'fill="{colour}"{edge}><title>{escape(span.name)}: '
            f"{1000 * (span.end - span.begin):.0f} ms</title></rect>"
        )
