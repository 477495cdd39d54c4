"""The section of the report that shows how the metric falls when inputs are disturbed."""

from common.reports.report import Part, Section
from services.analyzer.domain.robustness.findings import AttackKind, RobustnessFindings
from services.analyzer.domain.robustness.plots import (
    attack_picture,
    attacks_plot,
    columns_plot,
    curves_plot,
    ranking_plot,
    strip_picture,
)
from services.analyzer.domain.robustness.words import attacks_told, columns_told, headline

_LINES = 5


def show_robustness(findings: RobustnessFindings) -> Section:
    """Returns the section."""
    parts: list[Part] = [headline(findings)]
    if any(each.robustness is not None for each in findings.curves):
        parts.append(ranking_plot(findings))
    worst, rest = findings.curves[:_LINES], findings.curves[_LINES:]
    parts.append(curves_plot(findings, worst, "what hurts most" if rest else "each disturbance"))
    while rest:
        parts.append(curves_plot(findings, rest[:_LINES], "what hurts less"))
        rest = rest[_LINES:]
    below = [_images(findings), _columns(findings), _attacks(findings)]
    return Section(
        "Robustness",
        parts,
        note=" ".join(findings.notes),
        subsections=[each for each in below if each is not None],
    )


def _images(findings: RobustnessFindings) -> Section | None:
    if not findings.strips:
        return None
    told = (
        "One image of those that the model does best on: undisturbed on the left, more and more "
        "disturbed to the right; below each, what the model makes of it."
    )
    strips = [each for each in findings.strips if each.kind is not AttackKind.FGSM]
    return Section("What the disturbances look like", [told, *map(strip_picture, strips)])


def _columns(findings: RobustnessFindings) -> Section | None:
    if not findings.columns:
        return None
    return Section("One column at a time", [columns_told(findings), columns_plot(findings)])


def _attacks(findings: RobustnessFindings) -> Section | None:
    if not findings.attacks:
        return None
    parts: list[Part] = [attacks_told(findings), attacks_plot(findings)]
    parts += [attack_picture(each) for each in findings.strips if each.kind is AttackKind.FGSM]
    return Section("Small steps that are chosen to hurt", parts)
