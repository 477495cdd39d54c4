"""What is known of series when a forecast is made."""

from dataclasses import dataclass, field

import numpy as np

from common.models.estimators.forecasting.grid import Floats

_TINY = 1e-12


@dataclass(frozen=True)
class History:
    """One series until the time that a forecast is made.

    Attributes:
        start: Step of the first value, see `Grid`.
        values: One a step, nothing missing, (steps,).
        covariates: What else is known, (steps and those to forecast, columns), NaN for what is
            not; categories are numbers.
    """

    start: int
    values: Floats
    covariates: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def end(self) -> int:
        """Step of the first value that is not known."""
        return self.start + len(self.values)


def filled(values: Floats, season: int = 1) -> Floats:
    """Returns values without gaps: these are bridged around the value a season before or after.

    Args:
        values: NaN where missing, at least one is not.
        season: Steps in a season; 1 for none.
    """
    is_missing = np.isnan(values)
    if not is_missing.any():
        return values
    places = np.arange(len(values))
    line = np.interp(places, places[~is_missing], values[~is_missing])
    if season < 2 or len(values) < 2 * season:
        return line
    # What a step of the season is off the line in the mean, where the line is not made up.
    off = np.where(is_missing, np.nan, values - _smooth(line, season))
    phases = places % season
    known = ~np.isnan(off)
    sums = np.bincount(phases[known], off[known], season)
    counts = np.bincount(phases[known], minlength=season)
    typical = sums / np.maximum(counts, 1)
    level = np.interp(places, places[~is_missing], (values - typical[phases])[~is_missing])
    return np.where(is_missing, level + typical[phases], values)


def error_scale(values: Floats, season: int) -> float:
    """Returns the mean change from season to season, above 0; see `Mase`."""
    least = _TINY * float(np.abs(values).max())
    for lag in dict.fromkeys((season, 1)):
        if len(values) > lag:
            change = float(np.abs(values[lag:] - values[:-lag]).mean())
            if change > least:
                return change
    return float(np.abs(values).mean()) or 1.0


def _smooth(values: Floats, width: int) -> Floats:
    sums = np.cumsum(np.pad(values, (width // 2 + 1, width - width // 2 - 1), mode="edge"))
    return np.asarray((sums[width:] - sums[:-width]) / width)[: len(values)]
