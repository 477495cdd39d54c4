"""The section of the report that shows how the output depends on columns."""

from collections.abc import Sequence

from common.reports.report import Part, Section
from common.reports.text import shortened
from services.analyzer.domain.relations.analysis import RelationsFindings
from services.analyzer.domain.relations.column_plots import (
    HOW_TO_READ,
    column_plot,
    lines_each,
    spread_plot,
    trend,
)
from services.analyzer.domain.relations.interactions import Interaction
from services.analyzer.domain.relations.pair_plots import strength_plot, surface_plot
from services.analyzer.domain.relations.relation import Relation
from services.analyzer.domain.relations.row_plots import (
    changes_table,
    examples_plot,
    row_plot,
)
from services.analyzer.domain.relations.what_if import Change, WhatIf
from services.analyzer.domain.relations.wording import told_change, told_number

_NOTABLE_SHARE = 0.05
_MOST_VIEWS = 40  # so that the page does not grow too large


def show_relations(findings: RelationsFindings) -> Section:
    """Returns the section."""
    below = [_columns(findings), _interactions(findings), _what_if(findings)]
    return Section(
        "How the output depends on columns",
        [_headline(findings), spread_plot(findings.relations, findings.outputs[0])],
        note=" ".join(findings.notes),
        subsections=[each for each in below if each is not None],
    )


def _headline(findings: RelationsFindings) -> str:
    ordered = sorted(findings.relations, key=lambda each: -each.spread(0))
    best = ordered[0]
    first = trend(best, 0, findings.outputs[0])
    if best.spread(0) == 0:
        return f"No column by itself moves the {shortened(findings.outputs[0])}."
    return f"{first[0].upper()}{first[1:]}: no column moves it more.{_seconds(ordered)}"


def _seconds(ordered: Sequence[Relation]) -> str:
    names = [shortened(each.name, 40) for each in ordered[1:3] if each.spread(0) > 0]
    if not names:
        return ""
    verb = "follows" if len(names) == 1 else "follow"
    return f" {' and '.join(names)} {verb}."


def _columns(findings: RelationsFindings) -> Section:
    relations = findings.relations
    outputs = findings.outputs[: max(1, _MOST_VIEWS // len(relations))]
    lines = lines_each(len(relations), len(outputs))
    plots = [column_plot(each, outputs, lines) for each in relations]
    left = len(findings.outputs) - len(outputs)
    note = f"Of so many columns {left} more outputs are left out here." if left else ""
    return Section("One column at a time", [HOW_TO_READ, *plots], note)


def _interactions(findings: RelationsFindings) -> Section | None:
    pairs = findings.interactions
    if not pairs:
        return None
    output = findings.outputs[0]
    parts: list[Part] = [_pairs_told(pairs, findings.relations, output)]
    if pairs[0].strength > 0:
        parts.append(strength_plot(pairs, output))
    parts += [
        surface_plot(each, each.surface, output) for each in pairs if each.surface is not None
    ]
    return Section("Pairs of columns", parts)


def _pairs_told(pairs: Sequence[Interaction], relations: Sequence[Relation], output: str) -> str:
    best = pairs[0]
    if best.strength == 0:
        return "The columns add up: no pair does more together than each by itself."
    names = " and ".join(shortened(each, 40) for each in best.names)
    most = max(each.spread(0) for each in relations)
    if best.strength < _NOTABLE_SHARE * most:
        return f"The columns nearly add up; {names} act together most, and that is little."
    return (
        f"{names} act together most: what each does to the {shortened(output, 60)} depends on the "
        f"other, by {told_number(best.strength)} as a rule."
    )


def _what_if(findings: RelationsFindings) -> Section | None:
    found = findings.what_if
    if found is None:
        return None
    titles = findings.what_if_outputs
    parts: list[Part] = [_row_told(found, findings), changes_table(found, titles)]
    parts.append(row_plot(found, titles))
    if found.examples:
        main = titles.index(findings.outputs[0])
        parts.append(examples_plot(found, main, titles))
    return Section("What if one row were different", parts)


def _row_told(found: WhatIf, findings: RelationsFindings) -> str:
    row = found.row
    changes = [each.change for each in row.responses if each.change is not None]
    start = (
        f"Row {row.number} of {findings.dataset} is {row.why}; predicted is "
        f"{shortened(row.prediction, 60)}."
    )
    if changes:
        best = min(changes, key=lambda each: (each.size is None, each.size or 0.0))
        return f"{start} {_told(best, findings.is_value, found)}"
    if found.pair is not None:
        told = _told(found.pair, findings.is_value, found)
        return f"{start} No change of one column that was tried alters that. {told}"
    if findings.is_value and found.step is None:
        return f"{start} All targets are equal, so no change counts as another prediction."
    columns = "one or two columns" if found.pairs else "one column"
    return f"{start} No change of {columns} that was tried alters that."


def _told(change: Change, is_value: bool, found: WhatIf) -> str:
    what = f"{told_change(change)} would make it {shortened(change.prediction, 60)}"
    if not is_value or found.step is None:
        return f"The smallest change that alters it: {what}."
    return (
        f"The smallest change that moves it by a standard deviation of the target "
        f"({told_number(found.step)}): {what}."
    )
