"""Disturbances of series."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common.data.rows import RawRows
from services.analyzer.domain.robustness.columns import Columns, Mark
from services.analyzer.domain.robustness.disturbance import Apply, Disturbance
from services.analyzer.domain.robustness.findings import DisturbanceKind
from services.analyzer.domain.series import Lags, Series

Change = Callable[[Series, Lags, float, np.random.Generator], Lags]
"""A series with its values, a severity and what draws at random in; other values out."""


def series_disturbances(columns: Columns) -> list[Disturbance]:
    """Returns disturbances of all series at once."""
    series = columns.series
    if not series:
        return []
    longest = max(each.lags for each in series)
    table: list[tuple[DisturbanceKind, str, tuple[float, ...], Change]] = [
        (
            DisturbanceKind.MISSING_LAGS,
            "share of lags",
            distinct((0.05, 0.1, 0.2, 0.4, 0.8), longest),
            _missing(columns.missing),
        ),
        (
            DisturbanceKind.SHUFFLED_LAGS,
            "share of the lags in a window",
            distinct((0.1, 0.2, 0.4, 0.7, 1.0), longest, least=2),
            _shuffled,
        ),
        (DisturbanceKind.SERIES_NOISE, "standard deviations", (0.1, 0.25, 0.5, 1.0, 2.0), _noisy),
        (
            DisturbanceKind.TIME_SHIFT,
            "share of lags",
            distinct((0.02, 0.05, 0.1, 0.2, 0.4), longest),
            _later,
        ),
    ]
    return [
        Disturbance(kind, unit, severities, _changed(change, series))
        for kind, unit, severities, change in table
    ]


def distinct(shares: Sequence[float], lags: int, least: int = 1) -> tuple[float, ...]:
    """Returns shares that are whole numbers of lags, each once."""
    counts = sorted({min(lags, max(least, round(share * lags))) for share in shares})
    return tuple(count / lags for count in counts)


def _changed(change: Change, series: Sequence[Series]) -> Apply:
    def apply(raw: RawRows, severity: float, generator: np.random.Generator) -> RawRows:
        for each in series:
            raw = each.replaced(raw, change(each, each.read(raw), severity, generator))
        return raw

    return apply


def steps_of(share: float, lags: int) -> int:
    """Returns how many lags a share of them is, at least one."""
    return max(1, round(share * lags))


def _missing(marks: Mapping[str, Mark]) -> Change:
    """Returns what leaves a block of lags without values, somewhere else in each row."""

    def change(
        series: Series, values: Lags, severity: float, generator: np.random.Generator
    ) -> Lags:
        length = steps_of(severity, series.lags)
        starts = np.floor(generator.random(len(values)) * (series.lags - length + 1))
        places = np.arange(series.lags)
        hit = (places >= starts[:, None]) & (places < starts[:, None] + length)
        hit = hit.reshape(*hit.shape, *[1] * (values.ndim - 2))
        return np.where(hit, _marks(series, marks), values)

    return change


def _marks(series: Series, marks: Mapping[str, Mark]) -> Lags:
    """Returns what stands for a missing value at each lag."""
    if series.is_vector:
        return np.asarray(marks[series.columns[0]], np.float64)
    return np.array([marks[name] for name in series.columns], np.float64)


def _shuffled(
    series: Series, values: Lags, severity: float, generator: np.random.Generator
) -> Lags:
    """Puts the lags within each window into another order, the same for all rows."""
    window = max(2, steps_of(severity, series.lags))
    windows = np.arange(series.lags) // window
    order = np.lexsort((generator.random(series.lags), windows))
    return values[:, order]


def _noisy(series: Series, values: Lags, severity: float, generator: np.random.Generator) -> Lags:
    there = np.isfinite(values)
    deviation = float(values[there].std()) if there.any() else 0.0
    return values + severity * deviation * generator.standard_normal(values.shape)


def _later(series: Series, values: Lags, severity: float, generator: np.random.Generator) -> Lags:
    """Moves values to later lags; the first one stands for those before it."""
    steps = min(series.lags - 1, steps_of(severity, series.lags))
    places = np.maximum(0, np.arange(series.lags) - steps)
    return values[:, places]
