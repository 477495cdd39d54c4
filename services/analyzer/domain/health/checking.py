"""Health rules: they name a problem and a cure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.health.rules import HealthSummary
from services.analyzer.domain.part import PartName, PartOutcome, PartResult
from services.analyzer.domain.subject import Subject


@dataclass(frozen=True)
class HealthFindings:
    """What the rules found."""

    summary: HealthSummary
    notes: tuple[str, ...] = ()


def check_health(
    subject: Subject,
    results: Mapping[PartName, PartResult],
    outcomes: Sequence[PartOutcome],
    budget: Budget,
) -> HealthFindings:
    """Checks all rules.

    Args:
        subject: What was analysed.
        results: What the parts before found.
        outcomes: How they went.
        budget: What is left.
    """
    return HealthFindings(HealthSummary())
