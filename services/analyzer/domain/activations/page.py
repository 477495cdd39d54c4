"""The section of hidden layers."""

from collections.abc import Sequence

from common.data.schema import Task
from common.reports.report import Cell, Notice, Part, Section, Severity, Table
from common.reports.text import shortened
from services.analyzer.domain.activations.findings import (
    ActivationsFindings,
    ActivationsSummary,
    LayerActivations,
)
from services.analyzer.domain.activations.plots import (
    class_means_plot,
    depth_plot,
    error_map,
    health_plot,
    histogram_plot,
    spread_plot,
    target_map,
)
from services.analyzer.domain.activations.statistics import FEWEST_ROWS

_NOTABLE_SHARE = 0.02
_SATURATED_SHARE = 0.5
_TABLED_LAYERS = 4


def show_activations(findings: ActivationsFindings) -> Section:
    """Makes the section: a map of the rows, then layers, units, and pictures where there are."""
    found = findings.summary
    whole = [
        Section("Map of the rows", _map_parts(findings)),
        Section("Layer by layer", _layer_parts(findings)),
        Section("Units", _unit_parts(findings)),
        Section("Feature maps", findings.maps),
        Section("What units answer to most", findings.exciting),
    ]
    parts: list[Part] = [_first_sentence(findings), *_notices(found.layers)]
    return Section(
        "Inside: activations",
        parts,
        note=" ".join(findings.notes),
        subsections=[each for each in whole if each.parts],
    )


def _first_sentence(findings: ActivationsFindings) -> str:
    found = findings.summary
    layer = found.layers[-1]
    looked = f"{_counted(len(found.layers), 'layer')} on {_counted(found.row_count, 'row')}"
    units = _units_told(found)
    known = found.representation
    if known is None or known.neighbour_agreement is None or known.chance_agreement is None:
        return f"Looked into {looked}; {units}"
    share = known.neighbour_agreement
    if findings.facts is not None and findings.facts.task is Task.REGRESSION:
        told = f"rows near each other explain {share:.0%} of the target's variance"
    else:
        told = (
            f"of a row's 10 nearest rows {share:.0%} are of its class "
            f"({known.chance_agreement:.0%} by chance)"
        )
    return f"In {layer.layer}, {told}. Looked into {looked}; {units}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _units_told(found: ActivationsSummary) -> str:
    units = sum(each.unit_count for each in found.layers)
    dead = sum(each.dead_unit_count for each in found.layers)
    if found.row_count < FEWEST_ROWS:
        return f"too few to tell which of the {units:,} units are never active."
    if not dead:
        return f"all {units:,} units are active on some row."
    return f"{dead:,} of {units:,} units are never active."


def _notices(layers: Sequence[LayerActivations]) -> list[Notice]:
    notices = []
    # Words that no row has, for instance, are no fault of the vectorizer that stands in here.
    dead = [e for e in layers if e.function and e.dead_unit_count > _NOTABLE_SHARE * e.unit_count]
    if dead:
        worst = max(dead, key=lambda each: each.dead_unit_count / each.unit_count)
        notices.append(
            Notice(
                Severity.WARNING,
                "Dead units",
                f"No row makes {worst.dead_unit_count:,} of the {worst.unit_count:,} units of "
                f"{worst.layer} active; so it is in {len(dead)} of {len(layers)} layers.",
                "They can be pruned without any loss; to train without them, use a smaller rate "
                "of learning, batch norm, or a leaky function.",
            )
        )
    saturated = [e for e in layers if (e.saturated_share or 0) > _SATURATED_SHARE]
    if saturated:
        worst = max(saturated, key=lambda each: each.saturated_share or 0)
        notices.append(
            Notice(
                Severity.WARNING,
                "Saturated units",
                f"{worst.saturated_share:.0%} of the values of {worst.layer} are near a bound of "
                f"{worst.function}, where there is no gradient left to learn by.",
                "Standardise inputs, use batch norm, smaller initial weights, or a rectifier.",
            )
        )
    return notices


def _map_parts(findings: ActivationsFindings) -> list[Part]:
    known, facts = findings.summary.representation, findings.facts
    if known is None or facts is None:
        return []
    error = error_map(known, facts)
    return [target_map(known, facts), *([error] if error else [])]


def _layer_parts(findings: ActivationsFindings) -> list[Part]:
    layers, known = findings.summary.layers, findings.summary.representation
    chance = known.chance_agreement if known else None
    depth = (
        depth_plot(layers, chance, findings.facts)
        if chance is not None and findings.facts is not None
        else None
    )
    bars = [health_plot(layers)] if _has_something_off(layers) else []
    return [
        *([depth] if depth else []),
        *bars,
        spread_plot(layers),
        histogram_plot(layers),
        _layer_table(layers),
    ]


def _has_something_off(layers: Sequence[LayerActivations]) -> bool:
    return any(e.zero_share > 0 or e.saturated_share or e.dead_unit_count for e in layers)


def _layer_table(layers: Sequence[LayerActivations]) -> Table:
    columns = [
        *("Layer", "Function", "Units", "Dead", "Always on", "Mean", "Deviation", "Zero"),
        *("Saturated", "Directions"),
    ]
    rows: list[list[Cell]] = [
        [
            *(each.layer, each.function or None, each.unit_count, each.dead_unit_count),
            *(each.always_on_unit_count, each.mean, each.stddev),
            *(_percent(each.zero_share), _percent(each.saturated_share)),
            each.effective_dimensions,
        ]
        for each in layers
    ]
    return Table(
        columns,
        rows,
        "Layers in the order of computation. Always on: units of a rectifier that are never 0. "
        "Saturated: values near a bound of the function. "
        "Directions: in how many the rows differ (participation ratio).",
    )


def _unit_parts(findings: ActivationsFindings) -> list[Part]:
    means = findings.class_means
    return [*([class_means_plot(means)] if means else []), _unit_table(findings.summary.layers)]


def _unit_table(layers: Sequence[LayerActivations]) -> Table:
    columns = ["Layer", "Unit", "Mean", "Deviation", "Zero", "Answers to", "Rows with the most"]
    rows: list[list[Cell]] = [
        [
            *(layer.layer, unit.unit, unit.mean, unit.stddev, _percent(unit.zero_share)),
            _answer(unit.answers_to, unit.answers_to_share),
            ", ".join(str(each.row) for each in unit.top_rows),
        ]
        for layer in layers[-_TABLED_LAYERS:]
        for unit in layer.units
    ]
    return Table(
        columns,
        rows,
        "The units of the last layers that differ most from row to row. Answers to: the class "
        "that most of its 20 strongest rows have.",
    )


def _answer(name: str, share: float | None) -> str | None:
    return None if share is None else f"{shortened(name, 32)} ({share:.0%})"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.1%}"
