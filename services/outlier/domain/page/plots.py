"""Plots of a scan. What they hold does not grow with the data."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from plotly import graph_objects as go
from sklearn.decomposition import PCA

from common.reports.report import Plot
from common.reports.text import number
from common.reports.theme import INK, SERIES
from services.outlier.domain.detector import Matrix, Scores

Marks = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

_BINS = 80
_CHUNK = 1 << 20
_MOST_POINTS = 5000
_LARGE = 1e100
_USUAL, _MARKED = SERIES[:2]
_MAP_CAPTION = (
    "The rows as detectors see them, along the directions in which they differ most (principal "
    "components): rows with like values are near each other. A marked row among usual ones is odd "
    "in a direction that is not drawn."
)


@dataclass(frozen=True)
class PreparedSample:
    """Some rows as detectors see them.

    Attributes:
        values: Prepared numbers, shape (sampled rows, features).
        rows: Numbers of the rows in the data, from 0, shape (sampled rows,).
    """

    values: Matrix
    rows: Numbers


def score_plot(scores: Scores, marked: Marks, threshold: float) -> Plot:
    """Returns how many rows have which score, usual and marked ones.

    Args:
        scores: Finite, shape (rows,).
        marked: Shaped alike.
        threshold: Rows with a larger score are marked.
    """
    edges = _edges(float(scores.min()), float(scores.max()), threshold)
    usual, odd = _counts(scores, marked, edges)
    figure = go.Figure([_bars("usual", usual, edges, _USUAL), _bars("marked", odd, edges, _MARKED)])
    most = max(int(usual.max()), int(odd.max()), 1)
    figure.update_layout(barmode="overlay", bargap=0, xaxis_title="score")
    # A bar of one row has a height, which the logarithm of 1 has not.
    figure.update_yaxes(
        type="log", range=[np.log10(0.5), np.log10(2 * most)], dtick=1, title="rows (log scale)"
    )
    side, shift = ("left", -6) if threshold > (edges[0] + edges[-1]) / 2 else ("right", 6)
    figure.add_vline(
        threshold,
        line={"color": INK, "dash": "dash", "width": 1.5},
        annotation={"text": f"threshold {number(threshold)}", "xshift": shift},
        annotation_position=f"top {side}",
    )
    caption = "How many rows have which score. Rows to the right of the threshold are marked."
    seen = (
        f"Histogram of {number(len(scores))} scores from {number(float(scores.min()))} to "
        f"{number(float(scores.max()))}; {number(int(odd.sum()))} are above the threshold of "
        f"{number(threshold)}."
    )
    return Plot(figure, caption, seen)


def map_plot(
    sample: PreparedSample, scores: Scores, marked: Marks, told: Callable[[int], str]
) -> Plot | None:
    """Returns rows as points: those with like values are near each other.

    Of many rows the oddest marked ones are drawn, and usual ones picked evenly.

    Args:
        sample: The rows that may be drawn.
        scores: Of the rows of the sample, shape (sampled rows,).
        marked: Shaped alike.
        told: Says of a row, by its number in the data, what to show beside its point.

    Returns:
        None if all values are equal or there are none.
    """
    chosen = _chosen(scores, marked)
    drawn = _directions(sample.values[chosen])
    if drawn is None:
        return None
    points, shares = drawn
    alone = points.shape[1] == 1
    heights = scores[chosen] if alone else points[:, 1]
    figure = go.Figure()
    for name, which, color, symbol in (
        ("usual", ~marked[chosen], _USUAL, "circle"),
        ("marked", marked[chosen], _MARKED, "diamond"),
    ):
        figure.add_scatter(
            x=points[which, 0],
            y=heights[which],
            name=name,
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 7, "opacity": 0.7},
            hovertext=[told(int(row)) for row in sample.rows[chosen[which]]],
            hoverinfo="text",
        )
    second = "score" if alone else _direction("second", shares[1])
    figure.update_layout(xaxis_title=_direction("first", shares[0]), yaxis_title=second, height=520)
    seen = (
        f"{number(len(chosen))} rows as points, {number(int(marked[chosen].sum()))} of them marked."
    )
    return Plot(figure, f"{_MAP_CAPTION} {seen}", seen)


def _edges(low: float, high: float, threshold: float) -> Scores:
    """Returns edges of bins, one of them at the threshold, so that no bin is of both kinds."""
    low, high = min(low, threshold), max(high, threshold)
    width = (high - low) / _BINS or max(1.0, abs(low)) / _BINS
    below, above = np.ceil((threshold - low) / width), np.ceil((high - threshold) / width)
    return np.asarray(threshold + width * np.arange(-below - 1, above + 2))


def _counts(scores: Scores, marked: Marks, edges: Scores) -> tuple[Numbers, Numbers]:
    """Counts usual and marked rows in bins, in chunks: copies of all scores would be large."""
    usual, odd = np.zeros((2, len(edges) - 1), np.int64)
    for start in range(0, len(scores), _CHUNK):
        some, marks = scores[start : start + _CHUNK], marked[start : start + _CHUNK]
        usual += np.histogram(some[~marks], edges)[0]
        odd += np.histogram(some[marks], edges)[0]
    return usual, odd


def _bars(name: str, counts: Numbers, edges: Scores, color: str) -> go.Bar:
    filled = counts > 0
    return go.Bar(
        x=((edges[:-1] + edges[1:]) / 2)[filled],
        y=counts[filled],
        width=edges[1] - edges[0],
        name=name,
        marker={"color": color, "line": {"width": 0}},
        hovertemplate="%{y:,} rows<br>score about %{x:.4g}",
    )


def _chosen(scores: Scores, marked: Marks) -> Numbers:
    """Returns positions of the rows to draw, usual ones first so that they do not hide others."""
    odd, usual = np.flatnonzero(marked), np.flatnonzero(~marked)
    odd = odd[np.argsort(-scores[odd], kind="stable")]
    odd = odd[: _MOST_POINTS - min(len(usual), _MOST_POINTS // 2)]
    evenly = np.linspace(0, len(usual) - 1, min(len(usual), _MOST_POINTS - len(odd)))
    return np.concatenate((usual[evenly.astype(np.int64)], odd))


def _directions(values: Matrix) -> tuple[Matrix, Scores] | None:
    """Returns the first principal components, shape (rows, 1 or 2), and their shares."""
    if not len(values) or not np.ptp(values, axis=0).any():
        return None
    # Squares of larger numbers would be infinite.
    scaled = values / max(1.0, np.abs(values).max() / _LARGE)
    components = PCA(min(2, *values.shape), random_state=0).fit(scaled)
    return components.transform(scaled), components.explained_variance_ratio_


def _direction(which: str, share: float) -> str:
    return f"{which} direction ({100 * share:.0f} % of variance)"
