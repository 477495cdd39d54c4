"""What is found of weights; fields are told of in `aimass.analyzer.v1.WeightsResult`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class WeightKind(StrEnum):
    """What a tensor is, named as in `aimass.analyzer.v1.WeightKind`."""

    UNSPECIFIED = "unspecified"
    LINEAR = "linear"
    CONVOLUTION = "convolution"
    EMBEDDING = "embedding"
    NORM_SCALE = "norm_scale"
    BIAS = "bias"
    STATISTIC = "statistic"


MATRICES = frozenset({WeightKind.LINEAR, WeightKind.CONVOLUTION, WeightKind.EMBEDDING})
"""Kinds whose tensors are taken as matrices."""


@dataclass(frozen=True)
class WeightHistogram:
    """A histogram of equal widths; what is beyond its ends is counted in the outer bins."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class WeightSpectrum:
    """What the singular values of a matrix tell."""

    spectral_norm: float
    effective_rank: float
    stable_rank: float
    full_rank: int
    is_estimated: bool


@dataclass(frozen=True)
class WeightSensitivity:
    """How the model reacts when a tensor is disturbed."""

    output_change: float
    metric_fall: float | None


@dataclass(frozen=True)
class WeightTensor:
    """A tensor of weights; statistics are of its finite values, None where there are none."""

    name: str
    layer: str
    kind: WeightKind
    shape: tuple[int, ...]
    count: int
    nan_count: int = 0
    infinite_count: int = 0
    mean: float | None = None
    stddev: float | None = None
    min: float | None = None
    max: float | None = None
    l1_norm: float | None = None
    l2_norm: float | None = None
    near_zero_share: float | None = None
    histogram: WeightHistogram | None = None
    spectrum: WeightSpectrum | None = None
    units: int | None = None
    dead_units: int | None = None
    duplicate_units: int | None = None
    sensitivity: WeightSensitivity | None = None

    @property
    def is_broken(self) -> bool:
        """Whether some values are no finite numbers."""
        return self.nan_count + self.infinite_count > 0

    @property
    def root_mean_square(self) -> float | None:
        """Usual size of a weight."""
        finite = self.count - self.nan_count - self.infinite_count
        if self.l2_norm is None or not finite:
            return None
        return float(self.l2_norm / finite**0.5)


@dataclass(frozen=True)
class SensitivityMethod:
    """How sensitivity was measured."""

    relative_noise: float
    repeats: int
    row_count: int
    metric: str


@dataclass(frozen=True)
class TreeSplits:
    """How trees split on a column."""

    column: str
    count: int
    lowest: float | None
    median: float | None
    highest: float | None


@dataclass(frozen=True)
class TreeWeights:
    """What stands in for weights in trees."""

    tree_count: int
    leaf_count: int
    depths: tuple[int, ...]
    mean_leaves: float
    splits: tuple[TreeSplits, ...]
    unused_columns: int


@dataclass(frozen=True)
class WeightsSummary:
    """How the weights are distributed."""

    tensor_count: int
    tensors: tuple[WeightTensor, ...]
    weight_count: int
    near_zero_share: float | None
    broken_tensors: tuple[str, ...]
    dead_units: int
    duplicate_units: int
    sensitivity_method: SensitivityMethod | None
    trees: TreeWeights | None


@dataclass(frozen=True)
class WeightsFindings:
    """What the part found.

    Attributes:
        summary: See `WeightsResult`.
        notes: What stood in, and what was cut short.
        thresholds: Of the columns that trees split on, some thresholds for the page, by name.
    """

    summary: WeightsSummary
    notes: tuple[str, ...]
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
