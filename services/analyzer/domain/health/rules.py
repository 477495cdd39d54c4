"""What health rules find."""

from dataclasses import dataclass
from enum import StrEnum


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
