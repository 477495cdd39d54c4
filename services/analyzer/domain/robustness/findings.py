"""What disturbances did, as numbers. Scores are such that larger is better, but in the summary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.analyzer.domain.metrics import Interval, Metric

FACTOR = "factor"
"""Unit of severities that numbers are multiplied by: 1 leaves them as they are."""


class DisturbanceKind(StrEnum):
    """A kind, named as in `aimass.analyzer.v1.DisturbanceKind`."""

    NOISE = "noise"
    MISSING = "missing"
    GONE = "gone"
    SHIFT = "shift"
    SCALE = "scale"
    ANOTHER_LABEL = "another_label"
    SWAPPED = "swapped"
    BLUR = "blur"
    PIXEL_NOISE = "pixel_noise"
    BRIGHTER = "brighter"
    DARKER = "darker"
    LESS_CONTRAST = "less_contrast"
    OCCLUSION = "occlusion"
    MOVED = "moved"
    ROTATED = "rotated"
    SHUFFLED_LAGS = "shuffled_lags"
    MISSING_LAGS = "missing_lags"
    SERIES_NOISE = "series_noise"
    TIME_SHIFT = "time_shift"
    DROPPED_WORDS = "dropped_words"
    TYPOS = "typos"

    @property
    def label(self) -> str:
        """What it is, for people."""
        return _LABELS.get(self, self.replace("_", " "))


class AttackKind(StrEnum):
    """How steps that are to hurt are chosen, named as in `aimass.analyzer.v1.AttackKind`."""

    FGSM = "fgsm"
    PGD = "pgd"
    RANDOM_SIGN = "random_sign"
    RANDOM_SEARCH = "random_search"

    @property
    def label(self) -> str:
        """What it is, for people."""
        return _LABELS[self]


_LABELS: dict[StrEnum, str] = {
    DisturbanceKind.MISSING: "missing values",
    DisturbanceKind.GONE: "the whole column missing",
    DisturbanceKind.SHIFT: "shifted values",
    DisturbanceKind.SCALE: "scaled values",
    DisturbanceKind.ANOTHER_LABEL: "wrong labels",
    DisturbanceKind.SWAPPED: "swapped values",
    DisturbanceKind.BRIGHTER: "more brightness",
    DisturbanceKind.DARKER: "less brightness",
    DisturbanceKind.MOVED: "moved images",
    DisturbanceKind.ROTATED: "rotation",
    DisturbanceKind.SERIES_NOISE: "noise on the series",
    AttackKind.FGSM: "FGSM (one step along the gradient)",
    AttackKind.PGD: "PGD (several steps along the gradient)",
    AttackKind.RANDOM_SIGN: "one random step",
    AttackKind.RANDOM_SEARCH: "worst of several random steps",
}


@dataclass(frozen=True)
class Point:
    """Scores at one severity.

    Attributes:
        severity: In the unit of its disturbance.
        score: Mean of the row scores.
        fall: How much lower it is than without disturbance, from the differences of the rows.
        retained: Share of the distance from a constant guess that is left, 0 to 1; None where the
            model is no better than a guess.
    """

    severity: float
    score: Interval
    fall: Interval
    retained: float | None

    @property
    def is_worse(self) -> bool:
        """Whether the score is lower, beyond what chance makes likely."""
        return self.fall.low > 0


@dataclass(frozen=True)
class Curve:
    """Scores by severity.

    Attributes:
        kind: What was done.
        unit: What severities are measured in.
        points: By severity, ascending, at least one.
    """

    kind: DisturbanceKind | AttackKind
    unit: str
    points: tuple[Point, ...]

    @property
    def robustness(self) -> float | None:
        """Mean share of the distance from a constant guess that is left; None without such."""
        shares = [each.retained for each in self.points if each.retained is not None]
        return sum(shares) / len(shares) if shares else None

    @property
    def half_severity(self) -> float | None:
        """Where half of the distance from a guess is lost, interpolated; None if nowhere."""
        before, left = 1.0 if self.unit == FACTOR else 0.0, 1.0
        for point in self.points:
            if point.retained is None:
                return None
            if point.retained <= 0.5:
                way = (left - 0.5) / (left - point.retained)
                return before + way * (point.severity - before)
            before, left = point.severity, point.retained
        return None

    @property
    def middle(self) -> Point:
        """The point at the middle severity."""
        return self.points[len(self.points) // 2]

    @property
    def rank(self) -> tuple[float, float]:
        """What curves are sorted by: those that hurt most have the least."""
        robustness = 1.0 if self.robustness is None else self.robustness
        return robustness, -_mean([point.fall.value for point in self.points])


@dataclass(frozen=True)
class Attack:
    """Scores under steps that are to hurt.

    Attributes:
        curve: By largest size of a step.
        rows: How many rows were attacked.
        score: Of these rows, undisturbed.
    """

    curve: Curve
    rows: int
    score: Interval


@dataclass(frozen=True)
class ColumnCurves:
    """What disturbances of a single column do, at one severity each.

    Attributes:
        column: Its name.
        curves: One point each, in the order of kinds.
    """

    column: str
    curves: tuple[Curve, ...]

    @property
    def worst(self) -> Curve:
        """What hurts most."""
        return max(self.curves, key=lambda each: each.points[0].fall.value)


@dataclass(frozen=True)
class EstimateSummary:
    """See `aimass.analyzer.v1.RobustnessEstimate`."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PointSummary:
    """See `aimass.analyzer.v1.RobustnessPoint`."""

    severity: float
    metric: EstimateSummary
    fall: EstimateSummary
    retained: float | None


@dataclass(frozen=True)
class CurveSummary:
    """See `aimass.analyzer.v1.DisturbanceCurve`."""

    kind: DisturbanceKind | AttackKind
    unit: str
    points: tuple[PointSummary, ...]
    robustness: float | None
    half_severity: float | None


@dataclass(frozen=True)
class AttackSummary(CurveSummary):
    """See `aimass.analyzer.v1.AttackCurve`."""

    row_count: int
    undisturbed: EstimateSummary


@dataclass(frozen=True)
class ColumnDisturbanceSummary:
    """See `aimass.analyzer.v1.ColumnDisturbance`."""

    kind: DisturbanceKind | AttackKind
    unit: str
    point: PointSummary


@dataclass(frozen=True)
class ColumnSummary:
    """See `aimass.analyzer.v1.ColumnRobustness`."""

    column: str
    worst_kind: DisturbanceKind | AttackKind
    disturbances: tuple[ColumnDisturbanceSummary, ...]


@dataclass(frozen=True)
class RobustnessSummary:
    """See `aimass.analyzer.v1.RobustnessResult`."""

    metric: str
    is_agreement: bool
    row_count: int
    undisturbed: EstimateSummary
    guess: float | None
    curves: tuple[CurveSummary, ...]
    columns: tuple[ColumnSummary, ...]
    attacks: tuple[AttackSummary, ...]


@dataclass(frozen=True)
class Strip:
    """One image under one disturbance, side by side, mildest first.

    Attributes:
        kind: What was done.
        png: The file.
        severities: Of the images, in the unit of the disturbance; 0 for the undisturbed.
        unit: What severities are measured in.
        found: What the model makes of each.
    """

    kind: DisturbanceKind | AttackKind
    png: bytes
    severities: tuple[float, ...]
    unit: str
    found: tuple[str, ...]


@dataclass(frozen=True)
class RobustnessFindings:
    """What disturbances did.

    Attributes:
        metric: What scores are of; `Metric.shown` gives the metric.
        is_agreement: Whether predictions for undisturbed rows stand for the truth.
        rows: How many rows were disturbed.
        score: Without disturbance.
        guess: Score of a constant guess.
        curves: What hurts most first.
        columns: What hurts most first.
        attacks: Steps that are to hurt.
        strips: Disturbed images.
        notes: What stood in, and what was cut short.
    """

    metric: Metric
    is_agreement: bool
    rows: int
    score: Interval
    guess: float
    curves: tuple[Curve, ...]
    columns: tuple[ColumnCurves, ...] = ()
    attacks: tuple[Attack, ...] = ()
    strips: tuple[Strip, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def summary(self) -> RobustnessSummary:
        """The same as a message."""
        metric = self.metric
        return RobustnessSummary(
            metric=metric.value,
            is_agreement=self.is_agreement,
            row_count=self.rows,
            undisturbed=_metric(self.score, metric),
            guess=_finite(metric.shown(self.guess)),
            curves=tuple(CurveSummary(*_curve(each, metric)) for each in self.curves),
            columns=tuple(_column(each, metric) for each in self.columns),
            attacks=tuple(
                AttackSummary(
                    *_curve(each.curve, metric),
                    row_count=each.rows,
                    undisturbed=_metric(each.score, metric),
                )
                for each in self.attacks
            ),
        )


def shown_interval(score: Interval, metric: Metric) -> Interval:
    """Returns the metric with its interval for scores: those of losses change their sign."""
    low, high = sorted((metric.shown(score.low), metric.shown(score.high)))
    return Interval(metric.shown(score.value), low, high)


def _curve(
    curve: Curve, metric: Metric
) -> tuple[DisturbanceKind | AttackKind, str, tuple[PointSummary, ...], float | None, float | None]:
    points = tuple(_point(each, metric) for each in curve.points)
    return curve.kind, curve.unit, points, curve.robustness, curve.half_severity


def _column(found: ColumnCurves, metric: Metric) -> ColumnSummary:
    disturbances = tuple(
        ColumnDisturbanceSummary(each.kind, each.unit, _point(each.points[0], metric))
        for each in found.curves
    )
    return ColumnSummary(found.column, found.worst.kind, disturbances)


def _point(point: Point, metric: Metric) -> PointSummary:
    return PointSummary(
        point.severity, _metric(point.score, metric), _estimate(point.fall), point.retained
    )


def _metric(score: Interval, metric: Metric) -> EstimateSummary:
    return _estimate(shown_interval(score, metric))


def _estimate(interval: Interval) -> EstimateSummary:
    return EstimateSummary(_finite(interval.value), _finite(interval.low), _finite(interval.high))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
