"""What the part found, as `aimass.analyzer.v1.BehaviourResult` says it.

What the fields mean stands there; names are the same.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricEstimate:
    """See `BehaviourMetric`."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ClassSummary:
    """See `ClassBehaviour`."""

    name: str
    support: int
    predicted: int
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


@dataclass(frozen=True)
class ConfusedPair:
    """See `ConfusedPair`."""

    truth: str
    predicted: str
    rows: int
    share: float


@dataclass(frozen=True)
class ConfusionSummary:
    """See `Confusion`."""

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    pairs: tuple[ConfusedPair, ...]


@dataclass(frozen=True)
class CalibrationBin:
    """See `CalibrationBin`."""

    probability: float
    frequency: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class CalibrationSummary:
    """See `Calibration`."""

    of: str
    expected_error: float
    chance_error: float
    brier_score: float
    overconfidence: float
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class ResidualBin:
    """See `ResidualBin`."""

    low: float
    high: float
    rows: int
    bias: float
    bias_low: float
    bias_high: float
    mean_absolute_error: float
    root_mean_squared_error: float


@dataclass(frozen=True)
class ResidualsSummary:
    """See `Residuals`."""

    quantiles: tuple[float, ...]
    skewness: float | None
    excess_kurtosis: float | None
    spread_correlation: float | None
    spread_p_value: float | None
    by_prediction: tuple[ResidualBin, ...]
    by_truth: tuple[ResidualBin, ...]


@dataclass(frozen=True)
class ThresholdPoint:
    """See `ThresholdPoint`."""

    threshold: float
    recall: float
    false_positive_rate: float
    precision: float
    f1: float


@dataclass(frozen=True)
class ThresholdSummary:
    """See `ThresholdCurve`."""

    positive: str
    support: int
    roc_auc: float
    average_precision: float
    best_f1: ThresholdPoint
    best_youden: ThresholdPoint
    points: tuple[ThresholdPoint, ...]


@dataclass(frozen=True)
class ErrorSlice:
    """See `ErrorSlice`."""

    condition: str
    columns: tuple[str, ...]
    rows: int
    error: float
    error_elsewhere: float
    effect: float
    p_value: float


@dataclass(frozen=True)
class RowValue:
    """See `RowValue`."""

    column: str
    value: str


@dataclass(frozen=True)
class WrongRow:
    """See `WrongRow`."""

    row: int
    truth: str
    prediction: str
    probability: float | None
    error: float
    values: tuple[RowValue, ...] = ()


@dataclass(frozen=True)
class OutlierErrors:
    """See `OutlierErrors`."""

    outlier_scan: str
    marked_rows: int
    error_marked: float
    error_unmarked: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    share_of_errors: float | None
    p_value: float


@dataclass(frozen=True)
class OutputShare:
    """See `OutputShare`."""

    name: str
    predicted: float
    actual: float | None = None


@dataclass(frozen=True)
class BehaviourSummary:
    """See `BehaviourResult`."""

    row_count: int
    unknown_row_count: int = 0
    metrics: tuple[MetricEstimate, ...] = ()
    classes: tuple[ClassSummary, ...] = ()
    confusion: ConfusionSummary | None = None
    calibration: CalibrationSummary | None = None
    residuals: ResidualsSummary | None = None
    thresholds: tuple[ThresholdSummary, ...] = ()
    row_error: str = ""
    slices: tuple[ErrorSlice, ...] = ()
    worst_rows: tuple[WrongRow, ...] = ()
    outliers: OutlierErrors | None = None
    outputs: tuple[OutputShare, ...] = ()
    output_quantiles: tuple[float, ...] = ()
