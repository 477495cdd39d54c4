"""Plots of how outputs depend on single columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from common.reports.report import Cell, Plot, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import MUTED, SERIES
from services.analyzer.domain.relations.menus import add_menu
from services.analyzer.domain.relations.relation import Relation
from services.analyzer.domain.relations.wording import told_number, told_place

MOST_LINES = 1000
_LEAST_LINES = 5
_DEPENDENCE, _EFFECT = SERIES[:2]
HOW_TO_READ = (
    "Blue: the mean output with the column set to each value in all rows (partial dependence). "
    "Orange: each row compared with itself at nearby values only (accumulated local effects, with "
    "a 95 % band); trust it where both differ, since columns that correlate mislead the first. "
    "Thin lines: single rows; where they cross, the column does not do the same to all. Below: how "
    "many rows have which value. The menu also shows the change from the leftmost value."
)

Numbers = npt.NDArray[np.float64]


def spread_plot(relations: Sequence[Relation], output: str) -> Plot:
    """Returns how far the main output moves over each column, the farthest on top.

    Args:
        relations: Of the columns.
        output: Title of the main output.
    """
    ordered = sorted(relations, key=lambda each: each.spread(0))
    figure = go.Figure()
    for name, color, lengths in (
        ("mean over all rows (partial dependence)", _DEPENDENCE, _dependence_spread),
        ("nearby values only (accumulated effects)", _EFFECT, _effect_spread),
    ):
        figure.add_bar(
            x=[lengths(each) for each in ordered],
            y=[plot_text(each.name, 30) for each in ordered],
            name=name,
            orientation="h",
            marker={"color": color},
        )
    figure.update_layout(
        barmode="group",
        height=140 + 44 * len(ordered),
        xaxis={"title": f"largest minus smallest {plot_text(output, 50)}", "rangemode": "tozero"},
        yaxis={"type": "category"},
        legend={"traceorder": "reversed"},
    )
    best = ordered[-1]
    return Plot(
        figure,
        f"How far the {shortened(output)} moves over the values of each column.",
        f"Bars of {len(ordered)} columns; the longest is {shortened(best.name)} with "
        f"{number(best.spread(0))}.",
    )


def _dependence_spread(relation: Relation) -> float:
    return float(np.ptp(relation.dependence.mean[:, 0]))


def _effect_spread(relation: Relation) -> float | None:
    return None if relation.effect is None else relation.spread(0)


def column_plot(relation: Relation, outputs: Sequence[str], lines: int) -> Plot:
    """Returns how outputs depend on a column, with the data's distribution below.

    Args:
        relation: Of the column.
        outputs: Titles of the outputs; a menu chooses one.
        lines: Number of single rows to draw.
    """
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.8, 0.2], vertical_spacing=0.04
    )
    labels, titles = [], []
    views: list[list[go.Scatter]] = []
    for place, title in enumerate(outputs):
        for is_centred in (False, True):
            views.append(list(_View(relation, place, is_centred, lines).traces()))
            short = plot_text(title, 40)
            titles.append(f"change of {short}" if is_centred else short)
            labels.append(f"{title}, change from the left" if is_centred else title)
    shown = [_visible([len(view) for view in views], place) for place in range(len(views))]
    traces = [*(trace for view in views for trace in view), _distribution(relation)]
    for trace, visible in zip(traces, shown[0], strict=True):
        trace.visible = visible
    rows = [*([1] * (len(traces) - 1)), 2]
    figure.add_traces(traces, rows=rows, cols=[1] * len(traces))
    figure.update_layout(height=480)
    add_menu(figure, labels, shown, yaxis__title__text=titles)
    figure.update_yaxes(title_text=titles[0], row=1, col=1)
    figure.update_yaxes(title_text="rows", row=2, col=1, nticks=3)
    figure.update_xaxes(title_text=plot_text(relation.name, 50), row=2, col=1, **_ticks(relation))
    told = trend(relation, 0, outputs[0])
    return Plot(
        figure,
        f"{told[0].upper()}{told[1:]}.",
        f"{shortened(relation.name)}: {told}. With {lines} single rows, and the data below.",
        _table(relation, outputs),
    )


def trend(relation: Relation, place: int, output: str) -> str:
    """Returns what an output does over a column, in words."""
    curve, name = relation.best_curve(place), shortened(relation.name, 40)
    title = shortened(output, 40)
    if not np.ptp(curve) > 1e-12 * max(1.0, float(np.abs(curve).max())):
        return f"the {title} stays the same whatever {name} is"
    low, high = int(curve.argmin()), int(curve.argmax())
    values = [told_place(relation.grid, each) for each in range(len(relation.grid))]
    far = told_number(float(np.ptp(curve)))
    if not relation.grid.is_numeric:
        return f"the {title} is highest where {name} is {values[high]}, lowest at {values[low]}"
    change = float(curve[-1] - curve[0])
    if abs(change) > 0.8 * float(np.ptp(curve)):
        verb = "rises" if change > 0 else "falls"
        return (
            f"the {title} {verb} by {told_number(abs(change))} as {name} goes from {values[0]} to "
            f"{values[-1]}"
        )
    return (
        f"the {title} moves by {far} over {name}: highest at {values[high]}, lowest at "
        f"{values[low]}"
    )


@dataclass(frozen=True)
class _View:
    """Traces of one output, as values or as change from the first point."""

    relation: Relation
    output: int
    is_centred: bool
    lines: int

    def traces(self) -> Iterator[go.Scatter]:
        dependence = self.relation.dependence
        mean = dependence.mean[:, self.output]
        yield self._single_rows()
        if self.relation.effect is not None:
            yield from self._effect(float(mean.mean()))
        yield self._line("partial dependence", self._shifted(mean), _DEPENDENCE)
        if dependence.missing is not None:
            yield self._missing(float(dependence.missing[self.output]), float(mean[0]))

    def _shifted(self, curve: Numbers) -> Numbers:
        return np.asarray(curve - curve[0]) if self.is_centred else curve

    def _single_rows(self) -> go.Scatter:
        """Returns all rows as one line with gaps."""
        curves = self.relation.dependence.curves[:, :, self.output]
        curves = curves[np.linspace(0, len(curves) - 1, min(self.lines, len(curves))).astype(int)]
        if self.is_centred:
            curves = curves - curves[:, :1]
        places = np.append(self.relation.grid.places, np.nan)
        gapped = np.pad(curves, ((0, 0), (0, 1)), constant_values=np.nan)
        return go.Scatter(
            x=np.tile(places, len(curves)).astype(np.float32),
            y=gapped.reshape(-1).astype(np.float32),
            mode="lines",
            name="single rows",
            line={"color": MUTED, "width": 1},
            opacity=0.35,
            hoverinfo="skip",
        )

    def _effect(self, mean: float) -> Iterator[go.Scatter]:
        effect = self.relation.effect
        assert effect is not None
        curve = effect.effect[:, self.output]
        shift = -float(curve[0]) if self.is_centred else mean
        places = self.relation.grid.places
        band = np.concatenate([effect.high[:, self.output], effect.low[::-1, self.output]])
        yield go.Scatter(
            x=np.concatenate([places, places[::-1]]),
            y=band + shift,
            mode="lines",
            name="95 % band",
            fill="toself",
            fillcolor=_EFFECT,
            line={"width": 0, "color": _EFFECT},
            opacity=0.25,
            hoverinfo="skip",
            showlegend=False,
        )
        yield self._line("accumulated local effects", curve + shift, _EFFECT)

    def _line(self, name: str, values: Numbers, color: str) -> go.Scatter:
        return go.Scatter(
            x=self.relation.grid.places,
            y=values,
            mode="lines+markers",
            name=name,
            line={"color": color, "width": 3},
            marker={"size": 5},
        )

    def _missing(self, value: float, first: float) -> go.Scatter:
        places = self.relation.grid.places
        own = value - first if self.is_centred else value
        return go.Scatter(
            x=[places[0], places[-1]],
            y=[own, own],
            mode="lines",
            name="where it is missing",
            line={"color": SERIES[2], "width": 2, "dash": "dot"},
        )


def _visible(counts: Sequence[int], chosen: int) -> list[bool]:
    """Returns which traces are visible: those of the chosen view, and the distribution."""
    views = [[place == chosen] * count for place, count in enumerate(counts)]
    return [*(each for view in views for each in view), True]


def _distribution(relation: Relation) -> go.Bar:
    found = relation.distribution
    if relation.grid.is_numeric:
        places, width = (found.edges[:-1] + found.edges[1:]) / 2, found.edges[1] - found.edges[0]
    else:
        places, width = relation.grid.places, 0.8
    return go.Bar(
        x=places,
        y=found.counts,
        width=width,
        name="rows",
        marker={"color": MUTED, "line": {"width": 0}},
        showlegend=False,
        hovertemplate="%{y:,} rows<extra></extra>",
    )


def _ticks(relation: Relation) -> dict[str, object]:
    if relation.grid.is_numeric:
        return {}
    texts = [plot_text(each, 20) for each in relation.grid.labels]
    return {"tickvals": relation.grid.places.tolist(), "ticktext": texts}


def _table(relation: Relation, outputs: Sequence[str]) -> Table:
    columns = [
        *(relation.name, "Output", "Partial dependence", "Accumulated local effect"),
        *("Low", "High"),
    ]
    rows: list[list[Cell]] = []
    for place, title in enumerate(outputs):
        rows += _numbers(relation, place, title)
    return Table(columns, rows, f"What the plot of {shortened(relation.name)} shows.")


def _numbers(relation: Relation, place: int, title: str) -> Iterator[list[Cell]]:
    grid, effect = relation.grid, relation.effect
    for point, mean in enumerate(relation.dependence.mean[:, place].tolist()):
        value: Cell = float(grid.places[point]) if grid.is_numeric else grid.labels[point]
        curves = () if effect is None else (effect.effect, effect.low, effect.high)
        own: list[Cell] = [float(each[point, place]) for each in curves]
        yield [value, title, mean, *(own or [None] * 3)]


def lines_each(columns: int, outputs: int) -> int:
    """Returns how many single rows a plot may draw, so that the page does not grow too large."""
    return max(_LEAST_LINES, MOST_LINES // (columns * outputs))
