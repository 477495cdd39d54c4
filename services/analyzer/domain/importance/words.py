"""Sentences about importance."""

from collections.abc import Sequence

from common.reports.text import shortened
from services.analyzer.domain.importance.agreement import MethodAgreement
from services.analyzer.domain.importance.findings import FeatureImportance, ImportanceFindings
from services.analyzer.domain.importance.images import SeenImages

_NAME = 40
_NAMED = 3
_STRONG, _FAIR = 0.8, 0.5
_METHODS = {
    "permutation": "permutation",
    "shapley": "Shapley values",
    "integrated_gradients": "integrated gradients",
}


def headline(findings: ImportanceFindings) -> str:
    """Returns what was found, in a sentence or two."""
    if not findings.features:
        return "What of an image the model goes by is marked below."
    names = [shortened(each.column, _NAME) for each in findings.features]
    if findings.summary.metric:
        return _by_metric(findings, names)
    return f"The model goes by {_listed(names[:_NAMED])} above all: they move its output most."


def _by_metric(findings: ImportanceFindings, names: Sequence[str]) -> str:
    metric = findings.metric.label
    clear = [each for each in findings.features if _is_clear(each)]
    if not clear:
        return (
            f"No single column matters clearly: without any of them {metric} stays the same within "
            "its interval. Either the model hardly uses them, or each stands in for others."
        )
    first = clear[0].permutation
    assert first is not None
    change = "rises" if findings.metric.is_loss else "falls"
    lead = f"The model goes by {names[0]} above all: when it is permuted, {metric} {change} by "
    lead += f"{first.mean:.3g} ({first.low:.3g} to {first.high:.3g})."
    following = [shortened(each.column, _NAME) for each in clear[1:_NAMED]]
    lead += (
        f" {_listed(following)} come{'s' if len(following) == 1 else ''} next." if following else ""
    )
    idle = len(findings.features) - len(clear)
    return lead + (f" {idle} of {len(names)} columns make no clear difference." if idle else "")


def _is_clear(feature: FeatureImportance) -> bool:
    return feature.permutation is not None and feature.permutation.low > 0


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def method_label(name: str) -> str:
    """Returns a method's name for people."""
    return _METHODS[name]


def agreement_text(agreements: Sequence[MethodAgreement]) -> str:
    """Returns how far methods agree, in a sentence."""
    if not agreements:
        return ""
    weakest = min(agreements, key=lambda each: each.rank_correlation)
    pair = f"{method_label(weakest.first)} and {method_label(weakest.second)}"
    value = f"rank correlation {weakest.rank_correlation:.2f}"
    if weakest.rank_correlation >= _STRONG:
        return f"The methods agree on the order of the columns ({value} at least)."
    if weakest.rank_correlation >= _FAIR:
        return f"The methods agree roughly; {pair} least ({value})."
    return (
        f"The methods do not agree: {pair} order the columns differently ({value}). Permutation "
        "tells what the metric needs, the others what moves the output; columns that stand for "
        "each other part them."
    )


def images_text(seen: SeenImages) -> str:
    """Returns what the marked images are."""
    right = sum(each.is_right is True for each in seen.images)
    wrong = sum(each.is_right is False for each in seen.images)
    if right + wrong == 0:
        return f"{len(seen.images)} images, drawn at random."
    return (
        f"{right} images that the model gets right, then {wrong} that it gets wrong. It should go "
        "by the thing itself: heat on the background is a warning."
    )
