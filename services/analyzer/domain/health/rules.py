"""What health rules are, and what they find."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.part import PartName, PartResult
from services.analyzer.domain.subject import Subject


class Grade(StrEnum):
    """How grave a finding is, named as in `aimass.analyzer.v1.Severity`; the gravest first."""

    PROBLEM = "problem"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """A problem, or something to know; fields are named as in `aimass.analyzer.v1.Finding`.

    Attributes:
        rule: Name of the rule.
        severity: How grave it is.
        problem: What is wrong, one sentence with the numbers.
        cure: What to do about it, one sentence.
        subject: What it is about: a layer, a column, a class; empty for the whole model.
    """

    rule: str
    severity: Grade
    problem: str
    cure: str
    subject: str = ""


@dataclass(frozen=True)
class UncheckedRule:
    """A rule that could not be checked, and why."""

    rule: str
    reason: str


@dataclass(frozen=True)
class HealthSummary:
    """Fields are named as in `aimass.analyzer.v1.HealthResult`."""

    findings: tuple[Finding, ...] = ()
    passed: tuple[str, ...] = ()
    unchecked: tuple[UncheckedRule, ...] = ()


Results = Mapping[PartName, PartResult]
"""What the other parts found."""

Rule = Callable[[Subject, Results], Iterable[Finding]]
"""Yields what is wrong. Raises `NotApplicableError` or `UnusableModelError` if it cannot say."""


def summary_of(results: Results, part: PartName) -> Any:
    """Returns what a part found.

    Raises:
        NotApplicableError: It found nothing, or was not asked for.
    """
    if part not in results:
        raise NotApplicableError(missing(part))
    return results[part].summary


def missing(part: PartName) -> str:
    """Returns the sentence that a part is missing."""
    return f"It needs the part {part.upper()}, which is not there."
