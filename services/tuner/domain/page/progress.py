"""The score over time."""

from plotly import graph_objects as go

from common.reports.report import Part, Plot, Table
from common.reports.text import number, plot_text
from common.reports.theme import INK, MUTED, SERIES
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.words import (
    family_words,
    floor_name,
    metric_words,
    score_words,
    seconds_words,
)
from services.tuner.domain.search.library import Entry

_MOST_POINTS = 300
_ROOM = 0.15
_DASHES = ("dash", "dot", "dashdot")

Point = tuple[float, Entry]


def progress(evidence: Evidence) -> list[Part]:
    """Returns the score of candidates as they were completed, the best so far, and the model's."""
    points = _points(evidence)
    if not points:
        return ["It was not noted when models were completed."]
    best = _best(evidence, points)
    figure = go.Figure()
    _add_candidates(figure, evidence, points)
    _add_best(figure, evidence, best)
    _add_floors(figure, evidence)
    _add_model(figure, evidence)
    figure.update_layout(
        xaxis={"title": {"text": "seconds since the start"}, "rangemode": "tozero"},
        yaxis={"title": {"text": metric_words(evidence.tuned.metric)}, "range": _range(evidence)},
        height=460,
    )
    caption = (
        "Each model when all its folds were done, the best of them so far, and the final model "
        "with its standard error. Dashed lines are the models that anybody would try first. Models "
        "far worse are not in sight."
    )
    return [Plot(figure, caption, _seen(evidence, best), _numbers(evidence, points))]


def _points(evidence: Evidence) -> list[Point]:
    """Returns when the candidates that are compared were complete, in order."""
    ended = {
        step.candidate: step.seconds
        for step in evidence.history.steps
        if step.failure is None and step.fold < evidence.folds
    }
    entries = [each for each in evidence.compared if each.candidate.number in ended]
    found = [(ended[each.candidate.number], each) for each in entries[:_MOST_POINTS]]
    return sorted(found, key=lambda each: each[0])


def _best(evidence: Evidence, points: list[Point]) -> list[Point]:
    found: list[Point] = []
    for seconds, entry in points:
        if not found or evidence.loss(entry) < evidence.loss(found[-1][1]):
            found.append((seconds, entry))
    return found


def _add_candidates(figure: go.Figure, evidence: Evidence, points: list[Point]) -> None:
    figure.add_scatter(
        x=[seconds for seconds, _ in points],
        y=[evidence.shown(evidence.loss(entry)) for _, entry in points],
        mode="markers",
        name="models",
        marker={"color": SERIES[1], "size": 8, "opacity": 0.75},
        hovertext=[plot_text(_named(entry)) for _, entry in points],
        hovertemplate="%{hovertext}<br>%{y:.5g} after %{x:.1f} s<extra></extra>",
    )


def _add_best(figure: go.Figure, evidence: Evidence, best: list[Point]) -> None:
    seconds = [each for each, _ in best]
    scores = [evidence.shown(evidence.loss(entry)) for _, entry in best]
    figure.add_scatter(
        x=[*seconds, _end(evidence)],
        y=[*scores, scores[-1]],
        mode="lines",
        name="best so far",
        line={"color": SERIES[0], "shape": "hv", "width": 2.5},
        hoverinfo="skip",
    )


def _add_floors(figure: go.Figure, evidence: Evidence) -> None:
    done = [each for each in evidence.floors if each.loss is not None]
    for place, floor in enumerate(done):
        figure.add_scatter(
            x=[0, _end(evidence)],
            y=[evidence.shown(floor.loss or 0.0)] * 2,
            mode="lines",
            name=floor_name(floor.entry.candidate.family),
            line={"color": MUTED, "dash": _DASHES[place % len(_DASHES)], "width": 1.5},
            hovertemplate="%{y:.5g}",
        )


def _add_model(figure: go.Figure, evidence: Evidence) -> None:
    ensemble = evidence.tuned.ensemble
    figure.add_scatter(
        x=[_end(evidence)],
        y=[evidence.shown(ensemble.loss)],
        mode="markers",
        name="the final model",
        marker={"color": INK, "symbol": "diamond", "size": 12},
        error_y={"array": [_finite(ensemble.error)], "color": INK, "thickness": 1.5},
        hovertemplate="%{y:.5g}",
    )


def _range(evidence: Evidence) -> list[float]:
    """Returns from where to where the axis goes: all that is good, and all that it is measured by.

    Candidates that are far worse would leave the rest no room.
    """
    ensemble = evidence.tuned.ensemble
    losses = sorted(evidence.loss(each) for each in evidence.compared)
    middle = losses[len(losses) // 2]
    known = [each.loss for each in evidence.floors if each.loss is not None]
    error = _finite(ensemble.error)
    low = min(losses[0], ensemble.loss - error)
    high = max([middle, *known, ensemble.loss + error])
    room = _ROOM * (high - low) or abs(high) * 0.01 or 1.0
    return sorted((evidence.shown(low - room), evidence.shown(high + room)))


def _end(evidence: Evidence) -> float:
    history = evidence.history
    return max([history.seconds, *(each.seconds for each in history.steps)])


def _finite(error: float) -> float:
    return error if error < float("inf") else 0.0


def _named(entry: Entry) -> str:
    return f"model {entry.candidate.number}: {family_words(entry.candidate.family)}"


def _seen(evidence: Evidence, best: list[Point]) -> str:
    ensemble, metric = evidence.tuned.ensemble, evidence.tuned.metric
    first, last = best[0], best[-1]
    return (
        f"The first model is complete after {seconds_words(first[0])} with "
        f"{number(evidence.shown(evidence.loss(first[1])))}; the best, {_named(last[1])}, after "
        f"{seconds_words(last[0])} with {number(evidence.shown(evidence.loss(last[1])))}. "
        f"The final model has {score_words(metric, ensemble.loss, ensemble.error)}."
    )


def _numbers(evidence: Evidence, points: list[Point]) -> Table:
    rows = [
        (
            round(seconds, 2),
            entry.candidate.number,
            family_words(entry.candidate.family),
            evidence.shown(evidence.loss(entry)),
        )
        for seconds, entry in points
    ]
    columns = ("Seconds", "Model", "Kind", metric_words(evidence.tuned.metric))
    return Table(columns, rows, "Models when they were complete.")
