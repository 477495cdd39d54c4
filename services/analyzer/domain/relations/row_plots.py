"""Plots and tables of what would change single rows."""

from collections.abc import Sequence

import numpy as np
from plotly import graph_objects as go

from common.reports.report import Cell, Plot, Table
from common.reports.text import plot_text, shortened
from common.reports.theme import INK, PAPER, SERIES
from services.analyzer.domain.relations.menus import add_menu
from services.analyzer.domain.relations.what_if import (
    Response,
    ShownRow,
    WhatIf,
)
from services.analyzer.domain.relations.wording import told, told_number, told_place

_MOST_CURVES = 8
_MOST_NUMBERS = 10


def changes_table(found: WhatIf, titles: Sequence[str]) -> Table:
    """Returns a row's columns with the smallest change of each that gives another prediction."""
    main = found.outputs[0]
    rows = [_changes(each, main) for each in found.row.responses]
    headings = ["Column", "Its value", "Changed to", "Size of change", "Then predicted", "Range"]
    return Table(
        headings,
        rows,
        f"Row {found.row.number}: the smallest change of one column, within the values of the "
        "data, that gives another prediction; a dash where none does. Sizes are in standard "
        "deviations of the column, 1 for labels. Range: of the "
        f"{shortened(titles[main], 60)} over all values of the column.",
    )


def _changes(response: Response, main: int) -> list[Cell]:
    change, outputs = response.change, response.outputs[:, main]
    reach = f"{told_number(float(outputs.min()))} to {told_number(float(outputs.max()))}"
    name, value = shortened(response.column), told(response.value)
    if change is None:
        return [name, value, None, None, None, reach]
    after = shortened(change.prediction, 60)
    return [name, value, told(change.values[0]), change.size, after, reach]


def row_plot(found: WhatIf, titles: Sequence[str]) -> Plot:
    """Returns a row's outputs over one column; a menu chooses the column."""
    row, traces = found.row, []
    responses = row.responses[:_MOST_CURVES]
    for response in responses:
        for color, place in zip(SERIES, found.outputs, strict=False):
            traces.append(_curve(response, place, color, plot_text(titles[place], 40)))
        main = found.outputs[0]
        traces.append(_mark(response, float(row.now[main]), INK, "the row as it is"))
    figure = _by_column(traces, responses)
    title = "output" if len(found.outputs) > 1 else plot_text(titles[found.outputs[0]], 50)
    figure.update_layout(yaxis_title=title)
    return Plot(
        figure,
        f"Row {row.number}: its outputs if one column, chosen in the menu, had another value and "
        "the others stayed as they are. The mark is where the row is now.",
        f"Curves of {len(responses)} columns, one at a time.",
        _numbers([row], found.outputs, titles),
    )


def examples_plot(found: WhatIf, place: int, titles: Sequence[str]) -> Plot:
    """Returns one output of several rows over one column; a menu chooses the column.

    Args:
        found: What was found.
        place: Of the output.
        titles: Of all outputs.
    """
    rows = (found.row, *found.examples)
    columns = [
        [row.responses[column] for row in rows]
        for column in range(min(len(row.responses) for row in rows))
    ][:_MOST_CURVES]
    traces = []
    for of_rows in columns:
        for color, row, response in zip((INK, *SERIES), rows, of_rows, strict=False):
            name = plot_text(_row_name(row, is_first=row is found.row), 50)
            traces.append(_curve(response, place, color, name))
            traces.append(_mark(response, float(row.now[place]), color, name, is_named=False))
    figure = _by_column(traces, [each[0] for each in columns])
    figure.update_layout(yaxis_title=plot_text(titles[place], 50), height=460)
    return Plot(
        figure,
        "The same for other rows: each line is one row, its mark the value it has. Lines that "
        "run side by side: the column does the same in all of them.",
        f"Curves of {len(rows)} rows: {', '.join(_row_name(each, False) for each in rows)}.",
        _numbers(rows, [place], titles),
    )


def _numbers(rows: Sequence[ShownRow], outputs: Sequence[int], titles: Sequence[str]) -> Table:
    """Returns the numbers of curves, at most so many points of each."""
    cells: list[list[Cell]] = []
    for row in rows:
        for each in row.responses[:_MOST_CURVES]:
            points = np.linspace(0, len(each.grid) - 1, min(len(each.grid), _MOST_NUMBERS))
            for point in points.astype(int).tolist():
                values = [float(each.outputs[point, place]) for place in outputs]
                at = told_place(each.grid, point)
                cells.append([row.number, shortened(each.column, 40), at, *values])
    headings = ["Row", "Column", "Changed to", *(shortened(titles[each]) for each in outputs)]
    return Table(headings, cells, "Outputs of rows with one column changed.")


def _row_name(row: ShownRow, is_first: bool) -> str:
    why = "this row" if is_first else row.why
    return f"{why}: {row.number}"


def _by_column(traces: Sequence[go.Scatter], responses: Sequence[Response]) -> go.Figure:
    """Returns a figure with a menu of columns, of which each has equally many traces in order."""
    names = [each.column for each in responses]
    each_has = len(traces) // len(names)
    shown = [
        [place // each_has == column for place in range(len(traces))]
        for column in range(len(names))
    ]
    for trace, visible in zip(traces, shown[0], strict=True):
        trace.visible = visible
    figure = go.Figure(traces)
    titles = [plot_text(name, 50) for name in names]
    types = ["linear" if each.grid.is_numeric else "category" for each in responses]
    figure.update_layout(xaxis={"title": {"text": titles[0]}, "type": types[0]})
    again = [True] * len(names)
    add_menu(
        figure,
        names,
        shown,
        xaxis__title__text=titles,
        xaxis__type=types,
        xaxis__autorange=again,
        yaxis__autorange=again,
    )
    return figure


def _curve(response: Response, place: int, color: str, name: str) -> go.Scatter:
    grid = response.grid
    numeric = grid.is_numeric
    return go.Scatter(
        x=grid.places if numeric else [plot_text(each, 20) for each in grid.labels],
        y=response.outputs[:, place].astype(np.float32),
        mode="lines" if numeric else "lines+markers",
        name=name,
        line={"color": color, "width": 2},
    )


def _mark(
    response: Response, now: float, color: str, name: str, is_named: bool = True
) -> go.Scatter:
    value = response.value
    known = value.number is not None or bool(value.label)
    place = value.number if value.number is not None else plot_text(value.label, 20)
    return go.Scatter(
        x=[place] if known else [],
        y=[now] if known else [],
        mode="markers",
        name=name,
        showlegend=is_named,
        marker={
            "color": color,
            "size": 12,
            "symbol": "diamond",
            "line": {"color": PAPER, "width": 1.5},
        },
    )
