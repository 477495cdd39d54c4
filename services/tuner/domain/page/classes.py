"""How well classes and labels are told."""

import numpy as np
import numpy.typing as npt
from plotly import graph_objects as go

from common.reports.report import Part, Plot, Table
from common.reports.text import number, plot_text, shortened
from common.reports.theme import MUTED, SERIES
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.words import percent
from services.tuner.domain.problem import ProblemKind

Counts = npt.NDArray[np.int64]
Bins = list[tuple[float, float, float, int]]

_MOST_CLASSES, _MOST_TEXTS = 20, 12
_MOST_LABELS = 60
_NAME = 24
_BINS, _FEWEST_IN_BIN = 10, 20
_SHARE = {"range": [-0.02, 1.02], "tickformat": ".0%"}


def confusion(evidence: Evidence) -> list[Part]:
    """Returns what is taken for what."""
    truth, names = evidence.pool.truth.astype(np.int64), evidence.problem.outputs
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, evidence.decisions()), 1)
    common = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:_MOST_CLASSES])
    shown = counts[np.ix_(common, common)]
    labels = [names[each] for each in common]
    caption = (
        "Rows of each true class by what they are decided to be. What is right is on the diagonal; "
        "colours are shares of the true class."
    )
    if len(labels) < len(names):
        caption += f" The {len(labels)} commonest of {number(len(names))} classes are shown."
    right = int(np.trace(counts))
    seen = f"Heat map: {number(right)} of {number(int(counts.sum()))} rows are right."
    plot = Plot(_heat(shown, labels), caption, seen, _cells(shown, labels))
    return [plot, _by_class(counts, names)]


def labels_found(evidence: Evidence) -> list[Part]:
    """Returns how well each label is found."""
    truth, decided = evidence.pool.truth.astype(np.int64), evidence.decisions()
    both = (truth * decided).sum(axis=0)
    rows = [
        _found(name, int(right), int(there), int(said))
        for name, right, there, said in zip(
            evidence.problem.outputs, both, truth.sum(axis=0), decided.sum(axis=0), strict=True
        )
    ]
    rows.sort(key=lambda each: -each[1])
    caption = "How well each label is found"
    caption += f"; the {_MOST_LABELS} commonest." if len(rows) > _MOST_LABELS else "."
    return [
        Table(("Label", "Rows", "Found", "Right of what was said"), rows[:_MOST_LABELS], caption)
    ]


def calibration(evidence: Evidence) -> list[Part]:
    """Returns what came true against what was said."""
    said, came, of = _statements(evidence)
    bins = _binned(said, came)
    if len(bins) < 2:
        return []
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        name="exact",
        line={"color": MUTED, "dash": "dash"},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[each[0] for each in bins],
        y=[each[1] for each in bins],
        mode="lines+markers",
        name="the model",
        marker={"color": SERIES[0], "size": 8},
        line={"color": SERIES[0]},
        error_y={"array": [each[2] for each in bins], "color": SERIES[0], "thickness": 1.2},
        hovertemplate="said %{x:.3f}, came true %{y:.3f}",
    )
    figure.update_layout(
        xaxis={"title": {"text": f"probability {of}"}, **_SHARE},
        yaxis={"title": {"text": "how often it came true"}, **_SHARE},
        height=460,
    )
    caption = (
        "What the model says against what comes true, in bins of about as many rows, with twice "
        "the standard error. On the line it means what it says; points below it came true less "
        "often than was said."
    )
    off = float(np.average([abs(each[0] - each[1]) for each in bins], weights=[e[3] for e in bins]))
    seen = f"{len(bins)} points about the diagonal, off by {percent(off)} in the mean."
    columns = ("Probability", "Came true", "Twice its error", "Rows")
    return [Plot(figure, caption, seen, Table(columns, bins, "The bins."))]


def _heat(counts: Counts, labels: list[str]) -> go.Figure:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    heat = go.Heatmap(
        z=shares.round(4),
        customdata=counts,
        zmin=0,
        zmax=1,
        colorbar={"tickformat": ".0%"},
        hovertemplate="%{customdata:,} rows, %{z:.1%} of the class<extra></extra>",
    )
    if len(labels) <= _MOST_TEXTS:
        heat.update(text=[[f"{each:,}" for each in row] for row in counts.tolist()])
        heat.update(texttemplate="%{text}")
    ticks = {
        "tickmode": "array",
        "tickvals": list(range(len(labels))),
        "ticktext": [plot_text(each, _NAME) for each in labels],
        "showgrid": False,
    }
    figure = go.Figure(heat)
    figure.update_layout(
        xaxis={"title": {"text": "decided"}, **ticks},
        yaxis={"title": {"text": "true"}, "autorange": "reversed", **ticks},
        height=min(760, 260 + 34 * len(labels)),
    )
    return figure


def _cells(counts: Counts, labels: list[str]) -> Table:
    rows = [
        (shortened(true), shortened(decided), int(count))
        for true, own in zip(labels, counts, strict=True)
        for decided, count in zip(labels, own, strict=True)
        if count
    ]
    return Table(("True", "Decided", "Rows"), rows, "How many rows of each class are what.")


def _by_class(counts: Counts, names: tuple[str, ...]) -> Table:
    there, said = counts.sum(axis=1), counts.sum(axis=0)
    rows = [
        _found(name, int(counts[place, place]), int(there[place]), int(said[place]))
        for place, name in enumerate(names)
    ]
    rows.sort(key=lambda each: -each[1])
    caption = "How well each class is found"
    caption += f"; the {_MOST_LABELS} commonest." if len(rows) > _MOST_LABELS else "."
    return Table(("Class", "Rows", "Found", "Right of what was said"), rows[:_MOST_LABELS], caption)


def _found(name: str, right: int, there: int, said: int) -> tuple[str, int, str | None, str | None]:
    return (
        shortened(name),
        there,
        percent(right / there) if there else None,
        percent(right / said) if said else None,
    )


def _statements(evidence: Evidence) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], str]:
    """Returns what is said with which probability, whether it came true, and what it is."""
    outputs, truth, kind = evidence.outputs, evidence.pool.truth, evidence.problem.kind
    if kind is ProblemKind.MULTI_LABEL:
        return outputs.ravel(), truth.ravel() == 1, "of labels"
    if kind is ProblemKind.BINARY:
        name = plot_text(evidence.problem.outputs[1], _NAME)
        return outputs[:, 1], truth == 1, f"of {name}"
    likeliest = outputs.argmax(axis=1)
    return outputs.max(axis=1), truth == likeliest, "of the likeliest class"


def _binned(said: npt.NDArray[np.float64], came: npt.NDArray[np.bool_]) -> Bins:
    order = np.argsort(said, kind="stable")
    count = min(_BINS, len(order) // _FEWEST_IN_BIN)
    found = []
    for rows in np.array_split(order, count) if count else []:
        share = float(came[rows].mean())
        error = 2 * float(np.sqrt(max(share * (1 - share), 1e-9) / len(rows)))
        found.append(
            (round(float(said[rows].mean()), 4), round(share, 4), round(error, 4), len(rows))
        )
    return found
