"""Checks all health rules."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from common.reports.text import shortened
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.health import data_rules, inside_rules, output_rules
from services.analyzer.domain.health.rules import (
    Finding,
    Grade,
    HealthSummary,
    Rule,
    UncheckedRule,
    missing,
)
from services.analyzer.domain.part import PartName, PartOutcome, PartResult, PartState
from services.analyzer.domain.subject import Subject

_log = logging.getLogger(__name__)

RULES: Mapping[str, Rule] = {**inside_rules.RULES, **output_rules.RULES, **data_rules.RULES}
"""All rules by name, in the order of the report."""

_GRADES = list(Grade)
_MOST_CHARACTERS = 300
_MOST_OF_A_RULE = 20
_MOST_NAMED = 10
_MOST_NAME_CHARACTERS = 80


@dataclass(frozen=True)
class HealthFindings:
    """What the rules found.

    Attributes:
        summary: All of it.
        notes: None: what could not be checked stands in the summary.
    """

    summary: HealthSummary
    notes: tuple[str, ...] = ()


def check_health(
    subject: Subject,
    results: Mapping[PartName, PartResult],
    outcomes: Sequence[PartOutcome],
    budget: Budget,
) -> HealthFindings:
    """Checks all rules; one that cannot be checked is named, with the reason.

    Args:
        subject: What was analysed.
        results: What the parts before found.
        outcomes: How they went.
        budget: What is left.
    """
    found: list[Finding] = []
    passed: list[str] = []
    unchecked: list[UncheckedRule] = []
    why = {each.part: " ".join(each.notes) for each in outcomes if each.state is not PartState.DONE}
    for name, rule in RULES.items():
        budget.check()
        try:
            own = _bounded(list(rule(subject, results)))
        except (NotApplicableError, UnusableModelError) as error:
            unchecked.append(UncheckedRule(name, _reason(str(error), why)))
        except Exception as error:  # Whatever is wrong with one rule, the others are checked.
            _log.exception("The rule %s failed", name)
            unchecked.append(UncheckedRule(name, _failure(error)))
        else:
            found += own
            passed += [] if own else [name]
    found.sort(key=lambda finding: _GRADES.index(finding.severity))
    return HealthFindings(HealthSummary(tuple(found), tuple(passed), tuple(unchecked)))


def _bounded(found: list[Finding]) -> list[Finding]:
    """Returns what a rule found, the gravest first; of many the rest in one finding.

    The record of an analysis holds all findings, and data may have thousands of columns.
    """
    found = [
        replace(
            each,
            problem=shortened(each.problem, _MOST_CHARACTERS),
            subject=shortened(each.subject, _MOST_NAME_CHARACTERS),
        )
        for each in sorted(found, key=lambda each: _GRADES.index(each.severity))
    ]
    if len(found) <= _MOST_OF_A_RULE:
        return found
    kept, rest = found[: _MOST_OF_A_RULE - 1], found[_MOST_OF_A_RULE - 1 :]
    named = ", ".join(f"`{each.subject}`" for each in rest[:_MOST_NAMED])
    more = " and others" if len(rest) > _MOST_NAMED else ""
    return [
        *kept,
        replace(
            rest[0], problem=f"The same holds for {len(rest):,} more: {named}{more}.", subject=""
        ),
    ]


def _failure(error: Exception) -> str:
    return f"It failed: {type(error).__name__}: {error}"[:_MOST_CHARACTERS]


def _reason(text: str, why: Mapping[PartName, str]) -> str:
    """Returns why a rule was not checked; of a part that is missing, why that is."""
    for part, reason in why.items():
        if text == missing(part):
            return reason
    return text
