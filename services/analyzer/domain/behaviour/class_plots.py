"""Plots of classes: what is taken for what, and how well each is found."""

from collections.abc import Sequence

import numpy as np
from plotly import graph_objects as go

from common.data.schema import Task
from common.reports.report import Plot, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import INK, SERIES
from services.analyzer.domain.behaviour.answers import Answers
from services.analyzer.domain.behaviour.confusion import Confusion
from services.analyzer.domain.behaviour.summary import ClassSummary, ConfusedPair, OutputShare
from services.analyzer.domain.behaviour.words import percent

_NAME_LENGTH = 24
_MOST_TEXTS = 12
_ROW_HEIGHT = 26


def confusion_plot(found: Confusion) -> Plot:
    """Returns the confusion matrix: colours are shares of each class."""
    counts, names = found.counts, found.summary.classes
    sums = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(sums, 1)
    labels = [plot_text(name, _NAME_LENGTH) for name in names]
    heat = go.Heatmap(
        z=shares.round(4),
        customdata=counts,
        zmin=0,
        zmax=1,
        colorbar={"title": {"text": "share of class"}, "tickformat": ".0%"},
        hovertemplate="%{customdata:,} rows, %{z:.1%} of the class<extra></extra>",
    )
    if len(names) <= _MOST_TEXTS:
        heat.update(text=[[f"{each:,}" for each in row] for row in counts.tolist()])
        heat.update(texttemplate="%{text}")
    figure = go.Figure(heat)
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": labels}
    figure.update_layout(
        xaxis={"title": {"text": "predicted"}, "showgrid": False, **ticks},
        yaxis={"title": {"text": "true"}, "autorange": "reversed", "showgrid": False, **ticks},
        height=min(760, 240 + 34 * len(names)),
    )
    return Plot(figure, _confusion_caption(found), _confusion_seen(found), _cells(found))


def _confusion_caption(found: Confusion) -> str:
    caption = (
        "Rows of each true class by what they are predicted to be. What is right is on the "
        "diagonal: the brighter it is, and the darker all else, the better."
    )
    left = found.classes - len(found.summary.classes)
    if left > 0:
        caption += f" The {left:,} classes that are confused least are not shown."
    return caption


def _confusion_seen(found: Confusion) -> str:
    right, rows = int(np.trace(found.counts)), int(found.counts.sum())
    seen = (
        f"Heat map of {len(found.summary.classes)} classes: {right:,} of {rows:,} rows are right."
    )
    if not found.summary.pairs:
        return f"{seen} Nothing is confused."
    pair = found.summary.pairs[0]
    return (
        f"{seen} Most often {shortened(pair.truth, _NAME_LENGTH)} is taken for "
        f"{shortened(pair.predicted, _NAME_LENGTH)}, {pair.rows:,} times."
    )


def _cells(found: Confusion) -> Table:
    names, counts = found.summary.classes, found.counts
    sums = counts.sum(axis=1)
    rows = [
        (
            names[true],
            names[predicted],
            int(counts[true, predicted]),
            float(counts[true, predicted] / sums[true]),
        )
        for true, predicted in zip(*np.nonzero(counts), strict=True)
    ]
    columns = ("True", "Predicted", "Rows", "Share of the class")
    return Table(columns, rows, "The cells that are not empty.")


def pairs_table(pairs: Sequence[ConfusedPair]) -> Table:
    """Returns what is confused most."""
    rows = [(each.truth, each.predicted, each.rows, percent(each.share)) for each in pairs]
    columns = ("True", "Taken for", "Rows", "Share of the true class")
    return Table(columns, rows, "What is confused most.")


def classes_plot(classes: Sequence[ClassSummary], what: str) -> Plot:
    """Returns precision, recall and F1 of each class or label."""
    places = list(range(len(classes)))
    figure = go.Figure()
    for name, symbol, color in (
        ("precision", "diamond", SERIES[0]),
        ("recall", "circle", SERIES[1]),
        ("f1", "line-ns-open", INK),
    ):
        figure.add_scatter(
            x=[getattr(each, name) for each in classes],
            y=places,
            mode="markers",
            name="F1" if name == "f1" else name,
            marker={"symbol": symbol, "size": 10, "color": color, "line": {"width": 2}},
            hovertemplate=f"{name} %{{x:.3f}}",
        )
    labels = [plot_text(each.name, _NAME_LENGTH) for each in classes]
    figure.update_layout(
        height=140 + _ROW_HEIGHT * len(classes),
        xaxis={"title": {"text": "score"}, "range": [-0.02, 1.02]},
        yaxis={
            "tickmode": "array",
            "tickvals": places,
            "ticktext": labels,
            "range": [len(classes) - 0.5, -0.5],
        },
    )
    rows = [
        (each.name, each.support, each.predicted, each.precision, each.recall, each.f1)
        for each in classes
    ]
    columns = (what.capitalize(), "Rows", "Predicted", "Precision", "Recall", "F1")
    numbers = Table(columns, rows, f"How well each {what} is found.")
    caption = (
        f"Each {what}, the most frequent on top. Precision: how much of what is predicted to be of "
        f"it is so. Recall: how much of it is found. F1 is between the two. Further right is "
        "better."
    )
    return Plot(figure, caption, _classes_seen(classes, what), numbers)


def _classes_seen(classes: Sequence[ClassSummary], what: str) -> str:
    scored = [(each.f1, each.name) for each in classes if each.f1 is not None]
    if not scored:
        return f"{len(classes)} rows of points, all empty."
    low, high = min(scored), max(scored)
    return (
        f"F1 is lowest for the {what} {shortened(low[1], _NAME_LENGTH)}, {number(low[0])}, and "
        f"highest for {shortened(high[1], _NAME_LENGTH)}, {number(high[0])}."
    )


_SHARES = "How often each is predicted."
_PAIRED_SHARES = (
    "How often each is predicted, and how often it is true. Bars of a pair should be alike."
)


def shares_plot(shares: Sequence[OutputShare]) -> Plot:
    """Returns how often each class or label is predicted, and is true."""
    places = list(range(len(shares)))
    figure = go.Figure()
    figure.add_bar(
        x=[each.predicted for each in shares],
        y=places,
        orientation="h",
        name="predicted",
        marker={"color": SERIES[0]},
    )
    if any(each.actual is not None for each in shares):
        figure.add_bar(
            x=[each.actual for each in shares],
            y=places,
            orientation="h",
            name="true",
            marker={"color": SERIES[1]},
        )
    figure.update_traces(hovertemplate="%{x:.1%}")
    labels = [plot_text(each.name, _NAME_LENGTH) for each in shares]
    figure.update_layout(
        height=160 + 1.3 * _ROW_HEIGHT * len(shares),
        barmode="group",
        xaxis={"title": {"text": "share of rows"}, "tickformat": ".0%"},
        yaxis={
            "tickmode": "array",
            "tickvals": places,
            "ticktext": labels,
            "range": [len(shares) - 0.5, -0.5],
        },
    )
    rows = [(each.name, each.predicted, each.actual) for each in shares]
    numbers = Table(("Name", "Predicted", "True"), rows, "Shares of the rows.")
    first = max(shares, key=lambda each: each.predicted)
    seen = (
        f"{shortened(first.name, _NAME_LENGTH)} is predicted most, for {percent(first.predicted)}."
    )
    is_known = first.actual is not None
    return Plot(figure, _PAIRED_SHARES if is_known else _SHARES, seen, numbers)


def answers_plot(answers: Answers, task: Task, target: str) -> Plot:
    """Returns how sure predictions are, or which values they have."""
    middles = (answers.edges[:-1] + answers.edges[1:]) / 2
    width = float(answers.edges[1] - answers.edges[0])
    figure = go.Figure()
    is_value = task is Task.REGRESSION
    for name, counts, color in (
        ("predicted" if is_value else "predictions", answers.counts, SERIES[0]),
        ("true", answers.true_counts, SERIES[1]),
    ):
        if len(counts):
            figure.add_bar(
                x=middles,
                y=counts,
                width=width,
                name=name,
                marker={"color": color, "opacity": 0.6, "line": {"width": 0}},
                hovertemplate="%{y:,} about %{x:.4g}",
            )
    title = plot_text(target, _NAME_LENGTH) or "value"
    figure.update_layout(
        barmode="overlay",
        bargap=0,
        xaxis_title=title if is_value else "probability of what is predicted",
        yaxis_title="rows" if task is not Task.MULTI_LABEL else "labels of rows",
    )
    if is_value:
        caption = (
            "Which values are predicted, and which are true."
            if len(answers.true_counts)
            else "Which values are predicted."
        )
        low, high = number(answers.quantiles[1]), number(answers.quantiles[19])
        seen = f"Nine of ten predictions are between {low} and {high}."
        return Plot(figure, caption, seen)
    total = max(1, int(answers.counts.sum()))
    sure = float(answers.counts[middles > 0.9].sum() / total)
    caption = "How sure the model is of what it predicts: the probability that it gives it."
    return Plot(figure, caption, f"{percent(sure)} of predictions are made with more than 90 %.")
