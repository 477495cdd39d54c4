"""Plots and tables of what would change single rows."""

from collections.abc import Sequence

import numpy as np
from plotly import graph_objects as go

from common.reports.report import Cell, Plot, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import INK, PAPER, SERIES
from services.analyzer.domain.relations.menus import add_menu
from services.analyzer.domain.relations.what_if import (
    Change,
    ColumnValue,
    Response,
    ShownRow,
    WhatIf,
)

_MOST_CURVES = 8


def told(value: ColumnValue) -> str:
    """Returns a column's value for people."""
    if value.number is not None:
        return number(value.number)
    return shortened(value.label, 40) or "missing"


def told_change(change: Change) -> str:
    """Returns what a change sets columns to."""
    pairs = zip(change.columns, change.values, strict=True)
    return " and ".join(f"{shortened(name, 40)} = {told(value)}" for name, value in pairs)


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
    reach = f"{number(float(outputs.min()))} to {number(float(outputs.max()))}"
    name, value = shortened(response.column), told(response.value)
    if change is None:
        return [name, value, None, None, None, reach]
    after = shortened(change.prediction, 60)
    return [name, value, told(change.values[0]), change.size, after, reach]


def row_plot(found: WhatIf, titles: Sequence[str]) -> Plot:
    """Returns a row's outputs over one column; a menu chooses the column."""
    figure, row = go.Figure(), found.row
    responses = row.responses[:_MOST_CURVES]
    for response in responses:
        for color, place in zip(SERIES, found.outputs, strict=False):
            figure.add_trace(_curve(response, place, color, plot_text(titles[place], 40)))
        main = found.outputs[0]
        figure.add_trace(_mark(response, float(row.now[main]), INK, "the row as it is"))
    _choose_column(figure, responses, len(found.outputs) + 1)
    title = "output" if len(found.outputs) > 1 else plot_text(titles[found.outputs[0]], 50)
    figure.update_layout(yaxis_title=title)
    return Plot(
        figure,
        f"Row {row.number}: its outputs if one column, chosen in the menu, had another value and "
        "the others stayed as they are. The mark is where the row is now.",
        f"Curves of {len(responses)} columns, one at a time.",
    )


def examples_plot(found: WhatIf, place: int, title: str) -> Plot:
    """Returns one output of several rows over one column; a menu chooses the column.

    Args:
        found: What was found.
        place: Of the output.
        title: Its title.
    """
    rows = (found.row, *found.examples)
    columns = [
        [row.responses[column] for row in rows]
        for column in range(min(len(row.responses) for row in rows))
    ][:_MOST_CURVES]
    figure = go.Figure()
    for of_rows in columns:
        for color, row, response in zip((INK, *SERIES), rows, of_rows, strict=False):
            name = plot_text(_row_name(row, is_first=row is found.row), 50)
            figure.add_trace(_curve(response, place, color, name))
            figure.add_trace(_mark(response, float(row.now[place]), color, name, is_named=False))
    _choose_column(figure, [each[0] for each in columns], 2 * len(rows))
    figure.update_layout(yaxis_title=plot_text(title, 50), height=460)
    return Plot(
        figure,
        "The same for other rows: each line is one row, its mark the value it has. Lines that "
        "run side by side: the column does the same in all of them.",
        f"Curves of {len(rows)} rows: {', '.join(_row_name(each, False) for each in rows)}.",
    )


def _row_name(row: ShownRow, is_first: bool) -> str:
    why = "this row" if is_first else row.why
    return f"{why}: {row.number}"


def _choose_column(figure: go.Figure, responses: Sequence[Response], traces: int) -> None:
    """Adds a menu of columns, of which each has so many traces."""
    names = [each.column for each in responses]
    shown = [
        [place // traces == column for place in range(traces * len(names))]
        for column in range(len(names))
    ]
    for trace, visible in zip(figure.data, shown[0], strict=True):
        trace.visible = visible
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
