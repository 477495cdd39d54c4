"""What a comparison found, as `aimass.analyzer.v1.ComparisonResult` says it.

What the fields mean stands there; names are the same.
"""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a challenger does, named as in `aimass.analyzer.v1.ComparisonOutcome`."""

    BETTER = "better"
    WORSE = "worse"
    AS_GOOD = "as_good"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Verdict:
    """See `ComparisonVerdict`."""

    text: str
    best: str = ""


@dataclass(frozen=True)
class MetricValue:
    """See `ComparedMetric`."""

    metric: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Costs:
    """See `ComparedCosts`."""

    size_bytes: int
    parameters: int | None = None
    multiply_accumulates: int | None = None
    latency_seconds: float | None = None
    batch_seconds_per_row: float | None = None
    batch_rows: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class VersionSummary:
    """See `ComparedVersion`."""

    model_version: str
    metrics: tuple[MetricValue, ...] = ()
    costs: Costs | None = None


@dataclass(frozen=True)
class Difference:
    """See `ComparedDifference`."""

    metric: str
    difference: float
    low: float | None = None
    high: float | None = None
    test: str = ""
    p_value: float | None = None
    adjusted_p_value: float | None = None


@dataclass(frozen=True)
class ChangedRow:
    """See `ComparedRow`."""

    row: int
    truth: str
    baseline: str
    challenger: str


@dataclass(frozen=True)
class ChangedRows:
    """See `ComparedRows`."""

    gained: int
    lost: int
    wrong_otherwise: int
    row_count: int
    gained_rows: tuple[ChangedRow, ...] = ()
    lost_rows: tuple[ChangedRow, ...] = ()


@dataclass(frozen=True)
class ClassChange:
    """See `ComparedClass`."""

    label: str
    row_count: int
    baseline: float
    challenger: float
    gained: int
    lost: int
    adjusted_p_value: float


@dataclass(frozen=True)
class SliceChange:
    """See `ComparedSlice`."""

    condition: str
    row_count: int
    difference: float
    elsewhere: float
    adjusted_p_value: float


@dataclass(frozen=True)
class TensorChange:
    """See `ComparedTensor`."""

    name: str
    size: int
    relative_difference: float | None
    cosine: float | None
    changed_share: float
    baseline_zero_share: float
    challenger_zero_share: float


@dataclass(frozen=True)
class ShapeChange:
    """See `ComparedShape`."""

    name: str
    baseline: tuple[int, ...]
    challenger: tuple[int, ...]


@dataclass(frozen=True)
class WeightChanges:
    """See `ComparedWeights`."""

    tensors: tuple[TensorChange, ...]
    reshaped: tuple[ShapeChange, ...] = ()
    only_baseline: tuple[str, ...] = ()
    only_challenger: tuple[str, ...] = ()
    relative_difference: float | None = None
    changed_share: float | None = None


@dataclass(frozen=True)
class Representation:
    """See `ComparedRepresentation`."""

    baseline_layer: str
    challenger_layer: str
    similarity: float


@dataclass(frozen=True)
class ImportanceShift:
    """See `ComparedImportance`."""

    column: str
    baseline: float
    challenger: float
    difference: float
    low: float
    high: float
    is_clear: bool


@dataclass(frozen=True)
class Ratios:
    """See `ComparedRatios`."""

    size: float | None = None
    parameters: float | None = None
    multiply_accumulates: float | None = None
    latency: float | None = None
    batch: float | None = None
    memory: float | None = None


@dataclass(frozen=True)
class Fall:
    """See `ComparedFall`."""

    disturbance: str
    step: float
    difference: float
    low: float
    high: float
    is_clear: bool


@dataclass(frozen=True)
class ChallengerSummary:
    """See `ComparedChallenger`."""

    model_version: str
    outcome: Outcome | None = None
    margin: float | None = None
    is_within_margin: bool | None = None
    differences: tuple[Difference, ...] = ()
    rows: ChangedRows | None = None
    classes: tuple[ClassChange, ...] = ()
    worse_slices: tuple[SliceChange, ...] = ()
    better_slices: tuple[SliceChange, ...] = ()
    weights: WeightChanges | None = None
    representations: tuple[Representation, ...] = ()
    importance: tuple[ImportanceShift, ...] = ()
    ratios: Ratios | None = None
    falls: tuple[Fall, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """See `ComparedAgreement`."""

    first: str
    second: str
    agreement: float | None


@dataclass(frozen=True)
class Curve:
    """See `ComparedCurve`."""

    model_version: str
    values: tuple[float, ...]
    epochs: tuple[int, ...] = ()


@dataclass(frozen=True)
class RobustnessCurves:
    """See `ComparedRobustness`."""

    disturbance: str
    unit: str
    steps: tuple[float, ...]
    versions: tuple[Curve, ...]


@dataclass(frozen=True)
class TrainingCurves:
    """See `ComparedCurves`."""

    metric: str
    versions: tuple[Curve, ...]


@dataclass(frozen=True)
class ComparisonSummary:
    """See `ComparisonResult`."""

    verdict: Verdict
    metric: str
    versions: tuple[VersionSummary, ...]
    challengers: tuple[ChallengerSummary, ...]
    agreements: tuple[Agreement, ...] = ()
    robustness: tuple[RobustnessCurves, ...] = ()
    curves: tuple[TrainingCurves, ...] = ()
