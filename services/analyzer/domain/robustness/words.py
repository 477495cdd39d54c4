"""Findings in words."""

from common.reports.text import shortened
from services.analyzer.domain.metrics import Metric
from services.analyzer.domain.robustness.findings import (
    FACTOR,
    Attack,
    AttackKind,
    Curve,
    DisturbanceKind,
    Point,
    RobustnessFindings,
)

_SHARE = "share of "
_PLURAL = frozenset(
    {
        DisturbanceKind.MISSING,
        DisturbanceKind.SHIFT,
        DisturbanceKind.SCALE,
        DisturbanceKind.ANOTHER_LABEL,
        DisturbanceKind.SWAPPED,
        DisturbanceKind.MOVED,
        DisturbanceKind.SHUFFLED_LAGS,
        DisturbanceKind.MISSING_LAGS,
        DisturbanceKind.DROPPED_WORDS,
        DisturbanceKind.TYPOS,
    }
)


def told_severity(severity: float, unit: str) -> str:
    """Returns a severity for people: `20 % of cells`."""
    if unit.startswith(_SHARE):
        return f"{100 * severity:.3g} % of {unit.removeprefix(_SHARE)}"
    if unit == FACTOR:
        return f"a factor of {severity:.3g}"
    return f"{severity:.3g} {unit.removesuffix('s') if severity == 1 else unit}"


def metric_label(findings: RobustnessFindings) -> str:
    """Returns the metric's name for people."""
    if findings.is_agreement:
        return "agreement" if findings.metric is not Metric.R2 else "agreement (R²)"
    return findings.metric.label


def headline(findings: RobustnessFindings) -> str:
    """Returns what hurts most, and least."""
    worst, best = findings.curves[0], findings.curves[-1]
    if not any(point.is_worse for curve in findings.curves for point in curve.points):
        return (
            f"Nothing that was tried hurts the model beyond chance: its {metric_label(findings)} "
            f"stays near {_shown(findings, findings.score.value)}."
        )
    told = f"{_capital(worst.kind.label)} {_hurt(worst)} most: {_fall(findings, worst)}"
    least = ""
    if best is not worst:
        least = f" {_capital(best.kind.label)} {_hurt(best)} least."
    return f"{told}.{_half(worst)}{least}"


def columns_told(findings: RobustnessFindings) -> str:
    """Returns which single column matters most."""
    names = [each.column for each in findings.columns if each.worst.points[0].is_worse]
    if not names:
        return "No disturbance of a single column hurts the model beyond chance."
    worst = findings.columns[0]
    told = (
        f"Of single columns {shortened(worst.column, 40)} matters most: with "
        f"{worst.worst.kind.label}, {_fall(findings, worst.worst)}."
    )
    others = len(findings.columns) - len(names)
    if not others:
        return told
    return f"{told} {others} of {len(findings.columns)} columns did not matter beyond chance."


def attacks_told(findings: RobustnessFindings) -> str:
    """Returns what small steps do, against random ones."""
    worst = min(findings.attacks, key=lambda each: each.curve.rank)
    point = worst.curve.middle
    size = told_severity(point.severity, worst.curve.unit)
    start = (
        f"Changes of each value by at most {size} that are chosen to hurt "
        f"{_change(findings, worst, point)}"
    )
    random = [each for each in findings.attacks if each.curve.kind is AttackKind.RANDOM_SIGN]
    points = [each for one in random if one is not worst for each in one.curve.points]
    of_size = next((each for each in points if each.severity == point.severity), None)
    if of_size is None:
        return f"{start}.{_half(worst.curve)}"
    alike = _shown(findings, of_size.score.value)
    return f"{start}; random ones of that size leave {alike}.{_half(worst.curve)}"


def _change(findings: RobustnessFindings, attack: Attack, point: Point) -> str:
    before, after = (_shown(findings, each.value) for each in (attack.score, point.score))
    if not point.is_worse:
        return f"leave the {metric_label(findings)} at {after}"
    return f"bring the {metric_label(findings)} from {before} to {after}"


def _fall(findings: RobustnessFindings, curve: Curve) -> str:
    """Returns what happens at the middle severity, or at the strongest if nothing does there."""
    point = curve.middle if curve.middle.is_worse else curve.points[-1]
    before, after = (_shown(findings, each.value) for each in (findings.score, point.score))
    severity = told_severity(point.severity, curve.unit)
    return f"at {severity} the {metric_label(findings)} goes from {before} to {after}"


def _half(curve: Curve) -> str:
    if curve.half_severity is None:
        return ""
    where = told_severity(curve.half_severity, curve.unit)
    return f" Half of what the model is better than a constant guess is lost at {where}."


def _shown(findings: RobustnessFindings, score: float) -> str:
    return f"{findings.metric.shown(score):.3g}"


def _hurt(curve: Curve) -> str:
    return "hurt" if curve.kind in _PLURAL else "hurts"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
