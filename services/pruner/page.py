"""The page of a pruning, for people."""

from collections.abc import Iterator, Sequence

from plotly import graph_objects as go

from common.reports.rendering import render
from common.reports.report import Cell, Notice, Part, Plot, Report, Section, Severity, Table
from common.reports.text import number, plot_text
from common.reports.theme import INK, MUTED, SERIES
from services.pruner.domain.front import Gain
from services.pruner.domain.latency.node_times import NodeTime
from services.pruner.domain.search import Measured
from services.pruner.domain.variants import ORIGINAL
from services.pruner.outcome import Outcome

_MOST_PARTS, _MOST_NODES = 60, 20
_TICKS = [start * 10**power for power in (-1, 0, 1, 2, 3) for start in (1, 1.5, 2, 3, 5, 7)]
_TIMES = {
    Gain.LATENCY: "times faster",
    Gain.SIZE: "times smaller",
    Gain.MEMORY: "times less memory",
    Gain.MULTIPLICATIONS: "times fewer multiplications",
}


_COLUMNS = {
    Gain.LATENCY: "Faster",
    Gain.SIZE: "Smaller",
    Gain.MEMORY: "Memory",
    Gain.MULTIPLICATIONS: "Multiplications",
}


def pruning_page(outcome: Outcome, name: str) -> str:
    """Returns the page as HTML.

    Args:
        outcome: What was found.
        name: Of the run.
    """
    report = Report(
        title=f"Pruning {name}",
        facts=_facts(outcome),
        sections=list(_sections(outcome, name)),
        summary=list(_summary(outcome)),
    )
    return render(report)


def _summary(outcome: Outcome) -> Iterator[str | Notice]:
    choice = outcome.choice
    first, *others = choice.reasons
    is_original = choice.point.name == ORIGINAL
    severity = Severity.GOOD if choice.is_within and not is_original else Severity.WARNING
    title = "Keep the model as it is" if is_original else f"Take {choice.point.name}"
    cure = "" if choice.is_within else "Accept more loss, or give more data to judge on."
    yield Notice(severity, title, first, cure)
    yield from others


def _facts(outcome: Outcome) -> dict[str, str | int | float]:
    original, chosen = outcome.original, outcome.chosen
    metric = outcome.metric.name.replace("_", " ")
    return {
        f"{metric} before": original.judgement.score,
        f"{metric} after": chosen.judgement.score,
        **{
            _TIMES[gain]: f"{chosen.point.gain(original.point, gain):.3g}"
            for gain in original.point.costs
        },
        "Rows judged on": len(outcome.loaded.judging.truth),
        "Variants measured": len(outcome.found) - 1,
    }


def _sections(outcome: Outcome, name: str) -> Iterator[Section]:
    yield Section(
        "The front",
        [_plot(outcome, gain) for gain in outcome.original.point.costs],
        "Each variant on rows that nothing was chosen by, with the interval of its loss. What lies "
        "below the dashed line with its whole interval loses no more than is accepted.",
    )
    yield Section("All variants", [_variants(outcome), _costs(outcome)])
    yield Section("What became smaller", list(_parts(outcome)))
    if len(outcome.times) > 1 and all(outcome.times.values()):
        yield Section("Where the time goes", [_node_table(outcome)])
    if outcome.notes:
        yield Section("What was not done", list(outcome.notes))
    yield Section("Lineage", [_lineage(outcome, name)])


def _plot(outcome: Outcome, gain: Gain) -> Plot:
    figure = go.Figure()
    best = {each.variant.name for each in outcome.front}
    others = [each for each in outcome.found[1:] if each.variant.name not in best]
    on_front = [each for each in outcome.found[1:] if each.variant.name in best]
    for found, words, color in (
        (others, "other variants", MUTED),
        (on_front, "the front", SERIES[0]),
        ([outcome.original], "the original", INK),
    ):
        if found:
            _add_points(figure, outcome, found, gain, (words, color))
    figure.add_hline(y=outcome.most_loss, line={"color": SERIES[1], "dash": "dash", "width": 1.5})
    if outcome.choice.point.name != ORIGINAL:
        _add_choice(figure, outcome, gain)
    loss = f"loss of {outcome.metric.name.replace('_', ' ')}"
    figure.update_layout(
        xaxis={"title": {"text": _TIMES[gain]}, "type": "log", "tickvals": _TICKS},
        yaxis={"title": {"text": loss}},
        height=440,
    )
    caption = f"Loss against {gain}: to the right and low down is good."
    seen = (
        f"{len(outcome.found) - 1} variants; recommended is {outcome.choice.point.name} with "
        f"{outcome.chosen.point.gain(outcome.original.point, gain):.3g} {_TIMES[gain]}."
    )
    return Plot(figure, caption, seen)


def _add_points(
    figure: go.Figure,
    outcome: Outcome,
    found: Sequence[Measured],
    gain: Gain,
    look: tuple[str, str],
) -> None:
    words, color = look
    losses = [each.judgement.loss for each in found]
    figure.add_scatter(
        x=[each.point.gain(outcome.original.point, gain) for each in found],
        y=[each.value for each in losses],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [each.high - each.value for each in losses],
            "arrayminus": [each.value - each.low for each in losses],
            "thickness": 1,
            "width": 3,
            "color": color,
        },
        mode="markers",
        name=words,
        marker={"color": color, "size": 9},
        hovertext=[plot_text(each.variant.name) for each in found],
        hovertemplate="%{hovertext}<br>%{x:.3g} " + _TIMES[gain] + ", %{y:.4g}<extra></extra>",
    )


def _add_choice(figure: go.Figure, outcome: Outcome, gain: Gain) -> None:
    chosen = outcome.chosen
    figure.add_scatter(
        x=[chosen.point.gain(outcome.original.point, gain)],
        y=[chosen.judgement.loss.value],
        mode="markers",
        name="recommended",
        marker={"color": SERIES[1], "symbol": "circle-open", "size": 18, "line": {"width": 3}},
        hoverinfo="skip",
    )


def _variants(outcome: Outcome) -> Table:
    metric = outcome.metric.name.replace("_", " ")
    rows: list[Sequence[Cell]] = []
    known = list(outcome.original.point.costs)
    for each in outcome.ordered:
        loss = each.judgement.loss
        gains = [each.point.gain(outcome.original.point, gain) for gain in known]
        rows.append([each.variant.name, each.judgement.score, loss.value, loss.high, *gains])
    columns = ("Variant", metric, "Loss", "At most", *(_COLUMNS[gain] for gain in known))
    caption = (
        "What each loses and gains, the front first: losses with what they hardly exceed, and how "
        "many times less it takes than the original."
    )
    return Table(columns, rows, caption)


def _costs(outcome: Outcome) -> Table:
    rows = []
    for each in outcome.ordered:
        costs = outcome.costs[each.variant.name]
        rows.append(
            (
                each.variant.name,
                1000 * costs.latency,
                1000 * costs.latency_p99,
                each.variant.built.size_bytes / 1e3,
                costs.memory_bytes / 1e6,
            )
        )
    target = outcome.specification.target
    caption = (
        f"What each takes. Times are of batches of {target.batch_size} rows on {target.threads} "
        "thread(s), each variant in turns with the original."
    )
    columns = ("Variant", "Median, ms", "99 of 100 below, ms", "Size, kB", "Memory, MB")
    return Table(columns, rows, caption)


def _parts(outcome: Outcome) -> Iterator[Part]:
    chain = _chain(outcome)
    if not chain:
        yield "Nothing: the original is recommended."
        return
    for each in chain:
        yield from each.variant.notes[:_MOST_PARTS]
        if each.variant.parts:
            yield _part_table(each)
    dropped = outcome.chosen.variant.dropped
    if dropped:
        yield f"It does not ask for the columns {', '.join(dropped)} any more."


def _part_table(measured: Measured) -> Table:
    parts = measured.variant.parts[:_MOST_PARTS]
    rows: list[Sequence[Cell]] = [
        (part.name, part.reduction.replace("_", " "), part.before, part.after) for part in parts
    ]
    columns: tuple[str, ...] = ("Part", "How", "Before", "After")
    caption = f"The parts of {measured.variant.parent} in {measured.variant.name}."
    if any(part.sensitivity is not None for part in parts):
        rows = [
            (*row, "-" if part.sensitivity is None else number(part.sensitivity))
            for row, part in zip(rows, parts, strict=True)
        ]
        columns = (*columns, "Sensitivity")
        caption += (
            " Sensitivity: by how much the mean loss of learned rows rises when the half of the "
            "part that matters less is 0, alone."
        )
    return Table(columns, rows, caption)


def _node_table(outcome: Outcome) -> Table:
    """Returns what the slowest nodes take before and after."""
    names = [each.variant.name for each in (outcome.original, outcome.chosen)]
    before, after = ({each.name: each for each in outcome.times[name]} for name in names)
    everything = {**after, **before}
    slowest = sorted(everything.values(), key=lambda each: -each.seconds)[:_MOST_NODES]
    rows = [
        (each.name, each.kind, *(_milliseconds(some.get(each.name)) for some in (before, after)))
        for each in slowest
    ]
    total = [sum(each.seconds for each in some.values()) for some in (before, after)]
    caption = (
        f"Medians in ms of the slowest nodes on one thread, of {number(1e3 * total[0])} ms in all "
        f"before and {number(1e3 * total[1])} after; what ONNX Runtime has fused has one name."
    )
    return Table(("Node", "Operation", "Before, ms", "After, ms"), rows, caption)


def _milliseconds(node: NodeTime | None) -> str:
    return "-" if node is None else number(1e3 * node.seconds)


def _chain(outcome: Outcome) -> list[Measured]:
    """Returns the steps from the original to what is recommended."""
    by_name = {each.variant.name: each for each in outcome.found}
    chain, at = list[Measured](), outcome.chosen
    while at.variant.parent:
        chain.insert(0, at)
        at = by_name[at.variant.parent]
    return chain


def _lineage(outcome: Outcome, name: str) -> Table:
    names = outcome.specification
    rows = [
        ("Pruning", name),
        ("Model", names.model_version),
        ("Data", names.dataset_version),
        ("Metric", outcome.metric.name),
        ("Largest loss", number(outcome.most_loss)),
        ("Confidence", number(names.confidence)),
        ("What is to become smaller", str(names.gain)),
        ("Runtime", str(names.target.runtime).replace("_", " ")),
        ("Methods", ", ".join(names.methods)),
        ("Budget", f"{names.budget:g} s"),
        ("Rows to choose by", number(len(outcome.loaded.choosing.truth))),
        ("Seed", str(names.seed)),
    ]
    return Table(("What", "Value"), rows, "What went in, and with which settings.")
