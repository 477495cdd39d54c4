"""The report of a comparison: a section for each part that found something."""

import logging
from collections.abc import Mapping

from common.reports.report import Section
from services.analyzer.domain.comparison.comparison import ComparisonFindings
from services.analyzer.domain.comparison.page.behaviour import show_behaviour
from services.analyzer.domain.comparison.page.costs import show_costs
from services.analyzer.domain.comparison.page.inside import show_activations, show_weights
from services.analyzer.domain.comparison.page.outside import (
    show_curves,
    show_importance,
    show_robustness,
)
from services.analyzer.domain.page.report import with_notes
from services.analyzer.domain.part import PartName, PartOutcome, PartState, Show

_log = logging.getLogger(__name__)

SHOWS: Mapping[PartName, Show] = {
    PartName.BEHAVIOUR: show_behaviour,
    PartName.STRUCTURE: show_costs,
    PartName.WEIGHTS: show_weights,
    PartName.ACTIVATIONS: show_activations,
    PartName.IMPORTANCE: show_importance,
    PartName.ROBUSTNESS: show_robustness,
    PartName.CURVES: show_curves,
}
"""What makes the section of each part."""


def show_comparison(found: ComparisonFindings) -> dict[PartName, Section]:
    """Returns the sections, with their notes; one that cannot be shown is a part that failed."""
    outcomes = found.findings.outcomes
    sections = {}
    for place, outcome in enumerate(outcomes):
        result = found.findings.results.get(outcome.part)
        if result is None:
            continue
        try:
            sections[outcome.part] = with_notes(SHOWS[outcome.part](result), result.notes)
        except Exception as error:  # Whatever is wrong with one section, the others are whole.
            _log.exception("The part %s of a comparison cannot be shown", outcome.part)
            note = f"It cannot be shown: {type(error).__name__}: {error}"[:300]
            notes = (*outcome.notes, note)
            outcomes[place] = PartOutcome(outcome.part, PartState.FAILED, outcome.seconds, notes)
    return sections
