"""The section of a report that names problems and cures."""

from common.reports.report import Notice, Part, Section, Severity, Table
from common.reports.text import shortened
from services.analyzer.domain.health.checking import HealthFindings
from services.analyzer.domain.health.rules import Finding, Grade

_SEVERITIES = {
    Grade.PROBLEM: Severity.PROBLEM,
    Grade.WARNING: Severity.WARNING,
    Grade.NOTE: Severity.NOTE,
}
_MOST_SHOWN = 50


def show_health(findings: HealthFindings) -> Section:
    """Returns the section."""
    summary = findings.summary
    parts: list[Part] = [notice(each) for each in summary.findings[:_MOST_SHOWN]]
    if not parts:
        parts.append("No rule that could be checked found anything.")
    if summary.passed:
        names = ", ".join(_words(name) for name in summary.passed)
        parts.append(f"Checked without a finding: {names}.")
    if summary.unchecked:
        rows = [(_words(each.rule), each.reason) for each in summary.unchecked]
        parts.append(Table(("Rule", "Why"), rows, "Rules that could not be checked."))
    return Section("Health", parts)


def notice(finding: Finding) -> Notice:
    """Returns a finding as a card."""
    title = _words(finding.rule).capitalize()
    if finding.subject:
        title = f"{title}: {shortened(finding.subject)}"
    return Notice(_SEVERITIES[finding.severity], title, finding.problem, finding.cure)


def _words(rule: str) -> str:
    return rule.replace("_", " ")
