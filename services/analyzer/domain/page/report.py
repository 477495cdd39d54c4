"""The report of an analysis, for people."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from common.reports.rendering import render
from common.reports.report import Notice, Report, Section, Severity, Table
from common.reports.text import shortened
from services.analyzer.domain.analysis import Findings
from services.analyzer.domain.health.page import notice
from services.analyzer.domain.health.rules import Finding, Grade
from services.analyzer.domain.part import PartName, PartOutcome, PartState, Show

_log = logging.getLogger(__name__)

_STATES = {
    PartState.DONE: "done",
    PartState.NOT_APPLICABLE: "does not apply",
    PartState.FAILED: "failed",
}
_MOST_NOTICES = 6
_MOST_CHARACTERS = 300

# What readers look for first comes first; what is inside the model comes last.
_ORDER = (
    PartName.HEALTH,
    PartName.BEHAVIOUR,
    PartName.IMPORTANCE,
    PartName.RELATIONS,
    PartName.ROBUSTNESS,
    PartName.CURVES,
    PartName.STRUCTURE,
    PartName.ACTIVATIONS,
    PartName.WEIGHTS,
)


@dataclass(frozen=True)
class ReportHead:
    """What stands above the parts.

    Attributes:
        title: What the report is about.
        verdict: One or two sentences for people.
        facts: What readers want to know first.
        lineage: What the model and the analysis came from: a word and a resource name each.
    """

    title: str
    verdict: str
    facts: Mapping[str, str | int | float]
    lineage: Sequence[tuple[str, str]]


def report_page(
    head: ReportHead,
    outcomes: Sequence[PartOutcome],
    problems: Sequence[Finding],
    sections: Sequence[Section],
) -> str:
    """Returns the report as HTML.

    Args:
        head: What stands above the parts.
        outcomes: How the parts went.
        problems: Problems and cures, the gravest first.
        sections: Of what was found, in order.
    """
    grave = [each for each in problems if each.severity is not Grade.NOTE]
    notices = [notice(each) for each in grave[:_MOST_NOTICES]]
    failed = [each for each in outcomes if each.state is PartState.FAILED]
    notices += [_failure(each) for each in failed]
    checked = any(
        each.part is PartName.HEALTH and each.state is PartState.DONE for each in outcomes
    )
    if checked and not grave and not failed:
        notices = [
            Notice(
                Severity.GOOD,
                "No problems found",
                "Of all health rules, none found more than a note.",
            )
        ]
    return render(
        Report(
            title=shortened(head.title, 200),
            facts=head.facts,
            sections=(*sections, _lineage(head.lineage), _account(outcomes)),
            summary=(head.verdict, *notices),
        )
    )


def sections_of(findings: Findings, shows: Mapping[PartName, Show]) -> list[Section]:
    """Returns the sections of parts, what readers look for first.

    Args:
        findings: What the parts found; one that cannot be shown becomes a part that failed.
        shows: What makes the section of each part.
    """
    sections = {}
    for place, outcome in enumerate(findings.outcomes):
        result = findings.results.get(outcome.part)
        if result is None:
            continue
        try:
            sections[outcome.part] = _with_notes(shows[outcome.part](result), result.notes)
        except Exception as error:  # Whatever is wrong with one section, the others are whole.
            _log.exception("The part %s cannot be shown", outcome.part)
            note = f"It cannot be shown: {type(error).__name__}: {error}"[:_MOST_CHARACTERS]
            notes = (*outcome.notes, note)
            findings.outcomes[place] = replace(outcome, state=PartState.FAILED, notes=notes)
    return [sections[part] for part in _ORDER if part in sections]


def _with_notes(section: Section, notes: Sequence[str]) -> Section:
    """Returns a section with notes at its head, where it has none of its own."""
    return section if section.note else replace(section, note=" ".join(notes))


def _failure(outcome: PartOutcome) -> Notice:
    title = f"The part {outcome.part} failed"
    return Notice(Severity.WARNING, title, " ".join(outcome.notes), "The other parts are whole.")


def _lineage(lineage: Sequence[tuple[str, str]]) -> Section:
    table = Table(("What", "Name"), lineage, "What went in, and what it came from.")
    return Section("Lineage", [table])


def _account(outcomes: Sequence[PartOutcome]) -> Section:
    rows = [
        (each.part.value, _STATES[each.state], round(each.seconds, 2), " ".join(each.notes) or None)
        for each in outcomes
    ]
    columns = ("Part", "How it went", "Seconds", "Notes")
    caption = "What was worked on, how long it took, what stood in and what was cut short."
    return Section("How this was made", [Table(columns, rows, caption)])
