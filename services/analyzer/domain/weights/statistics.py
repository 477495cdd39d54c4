"""Statistics of a tensor in two passes over its pieces."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.weights.findings import WeightHistogram, WeightKind, WeightTensor
from services.analyzer.domain.weights.tensors import Numbers, StoredTensor

NEAR_ZERO = 0.01
"""What is at most this part of the root mean square is near zero."""

BINS = 41
"""Of a histogram."""

_WIDEST = 4.0  # ends of a histogram in root mean squares
_UNITS = frozenset({WeightKind.LINEAR, WeightKind.CONVOLUTION, WeightKind.NORM_SCALE})

Doubles = npt.NDArray[np.float64]


@dataclass
class _Moments:
    """What the first pass gathers of finite values (updates after Chan and others, 1979)."""

    count: int = 0
    nans: int = 0
    infinite: int = 0
    mean: float = 0.0
    spread: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    absolute: float = 0.0
    squares: float = 0.0

    def add(self, block: Doubles) -> None:
        """Takes in a piece."""
        values = block[np.isfinite(block)]
        nans = int(np.isnan(block).sum())
        self.nans += nans
        self.infinite += block.size - values.size - nans
        if not values.size:
            return
        mean = float(values.mean())
        total = self.count + values.size
        gap = mean - self.mean
        self.spread += float(((values - mean) ** 2).sum())
        self.spread += gap * gap * self.count * values.size / total
        self.mean += gap * values.size / total
        self.count = total
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        self.absolute += float(np.abs(values).sum())
        self.squares += float((values**2).sum())

    @property
    def root_mean_square(self) -> float:
        """Usual size of a value."""
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0


@dataclass
class _Shares:
    """What the second pass gathers."""

    near: float
    low: float
    high: float
    near_zero: int = 0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    dead: int = 0

    def add(self, block: Doubles) -> None:
        """Takes in a piece."""
        sizes = np.abs(block)
        self.near_zero += int((sizes <= self.near).sum())
        # What is no number is not near zero: comparisons with it are false.
        self.dead += int((sizes <= self.near).all(axis=1).sum())
        values = block[np.isfinite(block)]
        width = (self.high - self.low) / BINS
        places = np.clip((values - self.low) / width, 0, BINS - 1).astype(np.int64)
        self.counts += np.bincount(places, minlength=BINS)


def measured(tensor: StoredTensor) -> WeightTensor:
    """Returns what there is to say of a tensor's values one by one, and of its dead units."""
    moments = _Moments()
    with np.errstate(over="ignore", invalid="ignore"):
        for _, block in tensor.blocks():
            moments.add(_doubles(block))
        shares = _shares(tensor, moments)
    plain = WeightTensor(
        name=tensor.name,
        layer=tensor.layer,
        kind=tensor.kind,
        shape=tensor.shape,
        count=tensor.count,
        nan_count=moments.nans,
        infinite_count=moments.infinite,
        units=tensor.rows if tensor.kind in _UNITS else None,
        dead_units=shares.dead if tensor.kind in _UNITS else None,
    )
    return plain if not moments.count else _with_values(plain, moments, shares)


def _shares(tensor: StoredTensor, moments: _Moments) -> _Shares:
    usual = moments.root_mean_square
    if not moments.count or not np.isfinite(usual):
        return _Shares(0.0, 0.0, 0.0)
    low, high = max(moments.low, -_WIDEST * usual), min(moments.high, _WIDEST * usual)
    if not high > low:
        half = abs(low) / 2 or 0.5
        low, high = low - half, low + half
    shares = _Shares(NEAR_ZERO * usual, low, high)
    for _, block in tensor.blocks():
        shares.add(_doubles(block))
    return shares


def _with_values(plain: WeightTensor, moments: _Moments, shares: _Shares) -> WeightTensor:
    has_shares = shares.high > shares.low
    counts = tuple(shares.counts.tolist())
    return WeightTensor(
        **{
            **vars(plain),
            "mean": _finite(moments.mean),
            "stddev": _finite(np.sqrt(moments.spread / moments.count)),
            "min": _finite(moments.low),
            "max": _finite(moments.high),
            "l1_norm": _finite(moments.absolute),
            "l2_norm": _finite(np.sqrt(moments.squares)),
            "near_zero_share": shares.near_zero / moments.count if has_shares else None,
            "histogram": WeightHistogram(shares.low, shares.high, counts) if has_shares else None,
        }
    )


def _doubles(block: Numbers) -> Doubles:
    return np.asarray(block, np.float64)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
