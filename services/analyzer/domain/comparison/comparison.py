"""Compares versions, piece by piece; each piece is a part of the analysis."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from services.analyzer.domain.analysis import Findings, Job, Progress, work_on
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.activations import (
    ActivationComparison,
    compare_activations,
)
from services.analyzer.domain.comparison.behaviour import (
    BehaviourComparison,
    ChallengerBehaviour,
    compare_behaviour,
)
from services.analyzer.domain.comparison.costs import CostComparison, compare_costs
from services.analyzer.domain.comparison.curves import CurveComparison, compare_curves
from services.analyzer.domain.comparison.importance import (
    ImportanceComparison,
    compare_importance,
)
from services.analyzer.domain.comparison.robustness import (
    RobustnessComparison,
    compare_robustness,
)
from services.analyzer.domain.comparison.summary import (
    ChallengerSummary,
    ComparisonSummary,
    VersionSummary,
)
from services.analyzer.domain.comparison.verdict import verdict_of
from services.analyzer.domain.comparison.versions import Version, Versions, versions_of
from services.analyzer.domain.comparison.weights import WeightComparison, compare_weights
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.part import PartName, PartOutcome, PartResult
from services.analyzer.domain.subject import Subject
from services.analyzer.domain.thinning import thinned

R = TypeVar("R", bound=PartResult)
T = TypeVar("T")

_NO_SHARE = 0.001


@dataclass(frozen=True)
class ComparisonFindings:
    """What a comparison found.

    Attributes:
        versions: What was compared.
        findings: What came of each piece, by part.
        summary: All of it as `aimass.analyzer.v1.ComparisonResult` says it.
    """

    versions: Versions
    findings: Findings
    summary: ComparisonSummary

    @property
    def outcomes(self) -> Sequence[PartOutcome]:
        """How each part went, in the order in which they were worked on."""
        return self.findings.outcomes

    @property
    def verdict(self) -> str:
        """What it comes to, for people."""
        return self.summary.verdict.text

    def result(self, part: PartName, kind: type[R]) -> R | None:
        """Returns what came of a part; None where nothing did."""
        return _result(self.findings, part, kind)


@dataclass(frozen=True)
class Piece:
    """A piece of a comparison.

    Attributes:
        compare: Works it out; raises as `Part.analyse` does.
        share: Of the budget, against the shares of the others.
    """

    compare: Callable[[Versions, Budget], PartResult]
    share: float


def _nothing(_budget: Budget) -> PartResult:
    raise NotApplicableError("It tells of one model alone; analyse the versions one by one.")


PIECES: Mapping[PartName, Piece] = {
    PartName.BEHAVIOUR: Piece(compare_behaviour, 3),
    PartName.STRUCTURE: Piece(compare_costs, 2),
    PartName.WEIGHTS: Piece(compare_weights, 2),
    PartName.ACTIVATIONS: Piece(compare_activations, 3),
    PartName.IMPORTANCE: Piece(compare_importance, 4),
    PartName.ROBUSTNESS: Piece(compare_robustness, 4),
    PartName.CURVES: Piece(compare_curves, 0.1),
}
"""In the order in which they are worked on."""

_PREDICTING = frozenset({PartName.BEHAVIOUR, PartName.IMPORTANCE, PartName.ROBUSTNESS})


def compare(
    subjects: Sequence[Subject],
    parts: Mapping[PartName, float | None],
    seconds: float,
    progress: Progress,
    check: Callable[[], None],
    pieces: Mapping[PartName, Piece] = PIECES,
) -> ComparisonFindings:
    """Compares versions on the same rows; a part that fails leaves the others whole.

    Args:
        subjects: Two to eight, the baseline first; they share rows and settings.
        parts: Those that are wanted, with their own seconds, None for a share of the rest.
        seconds: For all parts together.
        progress: Told which part begins, and the share of all work that is done.
        check: Called now and then; raises to stop.
        pieces: All that there are.

    Raises:
        UnusableModelError: The versions do not predict the same.
    """
    versions = versions_of(subjects)
    if _PREDICTING & parts.keys():
        versions = versions_of(*thinned(subjects, seconds, check))
    jobs = {
        name: Job(partial(piece.compare, versions), piece.share)
        for name, piece in pieces.items()
        if name in parts
    }
    jobs |= {name: Job(_nothing, _NO_SHARE) for name in parts if name not in pieces}
    findings = Findings()
    work_on(jobs, parts, seconds, progress, check, findings)
    return ComparisonFindings(versions, findings, _summary(versions, findings))


def _result(findings: Findings, part: PartName, kind: type[R]) -> R | None:
    found = findings.results.get(part)
    return found if isinstance(found, kind) else None


def _summary(versions: Versions, findings: Findings) -> ComparisonSummary:
    behaviour = _result(findings, PartName.BEHAVIOUR, BehaviourComparison)
    costs = _result(findings, PartName.STRUCTURE, CostComparison)
    robustness = _result(findings, PartName.ROBUSTNESS, RobustnessComparison)
    curves = _result(findings, PartName.CURVES, CurveComparison)
    return ComparisonSummary(
        verdict_of(versions, behaviour, costs),
        versions.baseline.subject.settings.metric.value,
        tuple(_version(each, behaviour, costs) for each in versions.all),
        tuple(_challenger(each, findings) for each in versions.challengers),
        behaviour.agreements if behaviour else (),
        robustness.curves if robustness else (),
        curves.curves if curves else (),
    )


def _version(
    version: Version, behaviour: BehaviourComparison | None, costs: CostComparison | None
) -> VersionSummary:
    metrics = (
        dict(zip(behaviour.versions.all, behaviour.metrics, strict=False)) if behaviour else {}
    )
    own = dict(zip(costs.versions, costs.costs, strict=True)) if costs else {}
    return VersionSummary(version.name, metrics.get(version, ()), own.get(version))


def _challenger(version: Version, findings: Findings) -> ChallengerSummary:
    """Returns what the pieces say of a challenger."""
    behaviour = _behaviour(version, findings)
    judgement = behaviour.judgement if behaviour else None
    costs = _result(findings, PartName.STRUCTURE, CostComparison)
    weights = _result(findings, PartName.WEIGHTS, WeightComparison)
    alike = _result(findings, PartName.ACTIVATIONS, ActivationComparison)
    importance = _result(findings, PartName.IMPORTANCE, ImportanceComparison)
    robustness = _result(findings, PartName.ROBUSTNESS, RobustnessComparison)
    ratios = _by_challenger(costs.versions, costs.ratios) if costs else {}
    pairs = {each.version: each.pairs for each in alike.challengers} if alike else {}
    shifts = _by_challenger(importance.versions, importance.shifts) if importance else {}
    falls = _by_challenger(robustness.versions, robustness.falls) if robustness else {}
    return ChallengerSummary(
        version.name,
        outcome=judgement.outcome if judgement else None,
        margin=judgement.margin if judgement else None,
        is_within_margin=judgement.is_within_margin if judgement else None,
        differences=behaviour.differences if behaviour else (),
        rows=behaviour.rows.summary if behaviour else None,
        classes=behaviour.classes if behaviour else (),
        worse_slices=behaviour.slices.worse if behaviour else (),
        better_slices=behaviour.slices.better if behaviour else (),
        weights=dict(weights.challengers).get(version) if weights else None,
        representations=pairs.get(version, ()),
        importance=shifts.get(version, ()),
        ratios=ratios.get(version),
        falls=falls.get(version, ()),
    )


def _by_challenger(versions: Sequence[Version], found: Sequence[T]) -> dict[Version, T]:
    """Returns what was found of each challenger."""
    return dict(zip(versions[1:], found, strict=True))


def _behaviour(version: Version, findings: Findings) -> ChallengerBehaviour | None:
    found = _result(findings, PartName.BEHAVIOUR, BehaviourComparison)
    challengers = found.challengers if found else ()
    return next((each for each in challengers if each.version is version), None)
