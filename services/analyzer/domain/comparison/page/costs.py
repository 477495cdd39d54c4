"""The section that shows what versions cost."""

from collections.abc import Sequence

import numpy as np
from plotly import graph_objects as go

from common.reports.report import Cell, Part, Plot, Section, Table
from common.reports.text import number, plot_text
from services.analyzer.domain.comparison.costs import CostComparison, Seconds
from services.analyzer.domain.comparison.page.style import line_of
from services.analyzer.domain.comparison.summary import Costs
from services.analyzer.domain.comparison.verdict import price_of
from services.analyzer.domain.comparison.versions import beginning

_ROW_HEIGHT = 48
_MARGINS = 110
_FENCES = (5, 25, 50, 75, 95)


def show_costs(found: CostComparison) -> Section:
    """Returns the section."""
    batch = found.costs[0].batch_rows or 1
    parts: list[Part] = [
        _headline(found),
        _table(found),
        _times(found, found.single, "one row alone"),
    ]
    if batch > 1:
        parts.append(_times(found, found.batch, f"{batch} rows together"))
    return Section("What they cost", parts)


def _headline(found: CostComparison) -> str:
    prices = [(each, price_of(each, found).words) for each in found.versions[1:]]
    told = [f"{beginning(each.label)} is {words}" for each, words in prices if words]
    baseline = found.versions[0].label
    if not told:
        return f"None costs clearly more or less than {baseline}."
    return f"{'; '.join(told)} than {baseline}."


def _table(found: CostComparison) -> Table:
    columns = ["What", *(each.label for each in found.versions)]
    ratios = {
        "Size of files, MB": [each.size for each in found.ratios],
        "Parameters": [each.parameters for each in found.ratios],
        "Multiply-accumulates of a row": [each.multiply_accumulates for each in found.ratios],
        "Memory, MB": [each.memory for each in found.ratios],
        "One row alone, ms": [each.latency for each in found.ratios],
        "A row among many, ms": [each.batch for each in found.ratios],
    }
    own = [_amounts(each) for each in found.costs]
    rows: list[list[Cell]] = [
        [name, own[0][name], *_with_ratios([each[name] for each in own[1:]], of)]
        for name, of in ratios.items()
        if any(each[name] is not None for each in own)
    ]
    caption = (
        "What versions cost, and in brackets how many times as much as the baseline: below 1 is "
        "cheaper."
    )
    return Table(columns, rows, caption)


def _amounts(costs: Costs) -> dict[str, float | int | None]:
    return {
        "Size of files, MB": costs.size_bytes / 1e6,
        "Parameters": costs.parameters,
        "Multiply-accumulates of a row": costs.multiply_accumulates,
        "Memory, MB": None if costs.memory_bytes is None else costs.memory_bytes / 1e6,
        "One row alone, ms": _milliseconds(costs.latency_seconds),
        "A row among many, ms": _milliseconds(costs.batch_seconds_per_row),
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def _with_ratios(
    amounts: Sequence[float | int | None], ratios: Sequence[float | None]
) -> list[Cell]:
    return [
        amount if amount is None or ratio is None else f"{number(amount)} ({number(ratio)} times)"
        for amount, ratio in zip(amounts, ratios, strict=True)
    ]


def _times(found: CostComparison, seconds: Seconds, what: str) -> Plot:
    """Returns how times are spread; boxes by their numbers, so that no single time is drawn."""
    figure = go.Figure()
    spread = 1000 * np.percentile(seconds, _FENCES, axis=1).T
    for place, (version, own) in enumerate(zip(found.versions, spread, strict=True)):
        low, first, middle, third, high = ([float(each)] for each in own)
        figure.add_box(
            y=[plot_text(version.label, 40)],
            lowerfence=low,
            q1=first,
            median=middle,
            q3=third,
            upperfence=high,
            name=plot_text(version.label, 40),
            orientation="h",
            line={"color": line_of(place)["color"]},
        )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(rangemode="tozero", title="milliseconds")
    height = _MARGINS + _ROW_HEIGHT * max(2, len(found.versions))
    figure.update_layout(showlegend=False, height=height)
    caption = (
        f"How long versions take for {what}, in {seconds.shape[1]} rounds by turns: the middle "
        "half as a box, nine tenths as a line."
    )
    medians = ", ".join(
        f"{version.label} {number(float(own[2]))} ms"
        for version, own in zip(found.versions, spread, strict=True)
    )
    numbers = Table(
        ("Version", "5 %", "25 %", "Median, ms", "75 %", "95 %"),
        [
            [version.label, *(float(each) for each in own)]
            for version, own in zip(found.versions, spread, strict=True)
        ],
        caption,
    )
    return Plot(figure, caption, f"Medians: {medians}.", numbers)
