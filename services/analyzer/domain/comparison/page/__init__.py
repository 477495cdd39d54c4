"""The report of a comparison: a section for each part that found something."""

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
from services.analyzer.domain.page.report import sections_of
from services.analyzer.domain.part import PartName, Show

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


def show_comparison(found: ComparisonFindings) -> list[Section]:
    """Returns the sections; one that cannot be shown becomes a part that failed."""
    return sections_of(found.findings, SHOWS)
