"""How good the tuner's forecasts are, against each of statsforecast's models alone.

Part of `make bench NAME=tuner [DATA=folder] [FULL=1]`; alone it is
`python -m tests.benchmarks.tuner.forecasts`.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np

from services.tuner.domain.forecasting.tuning import ForecastSettings, tune_forecast
from tests.benchmarks.harness import Aim, Measure, is_quick, publish, say
from tests.benchmarks.tuner.forecast_sets import ForecastSet, forecast_sets
from tests.benchmarks.tuner.forecast_singles import SINGLES, Forecasts

_SECONDS = 60.0
_QUICK_SECONDS = 10.0
_OURS = "ours"
NOTES = (
    "Forecasts: the last horizon of each series is held out; MASE is the mean absolute error by "
    "that of the seasonal naive forecast in what came before. Single models know no budget. "
    "AutoARIMA leaves out seasons of more than 24 steps, which take it hours, and "
    "approximates likelihoods where a season has 24; of panels a sample of series is taken "
    "without FULL=1.",
)


def forecasts() -> tuple[list[Measure], list[str]]:
    """Measures everything, and returns what a reader must know too."""
    seconds = _QUICK_SECONDS if is_quick() else _SECONDS
    sets = forecast_sets()[:1] if is_quick() else forecast_sets()
    losses: dict[str, list[float]] = {name: [] for name in (_OURS, *SINGLES)}
    beyond = []
    for each in sets:
        found, took = _ours(each, seconds)
        losses[_OURS].append(each.loss(found))
        beyond.append(took / seconds - 1)
        for name, single in SINGLES.items():
            losses[name].append(each.loss(single(each)))
        say(_line(each, losses, took))
    means = {name: mean(found) for name, found in losses.items()}
    say("  mean: " + ", ".join(f"{name} {loss:.4f}" for name, loss in means.items()))
    best = min(SINGLES, key=lambda name: means[name])
    return _measures(means, best, seconds, max(beyond)), list(NOTES)


def _measures(
    means: Mapping[str, float], best: str, seconds: float, beyond: float
) -> list[Measure]:
    below = Aim() if is_quick() else Aim(ratio=0.9999)
    measures = [
        Measure.of(
            f"forecasts, {seconds:g} s: mean MASE, against {name}",
            means[_OURS],
            means[name],
            below if name == best else Aim(),
        )
        for name in SINGLES
    ]
    late = Measure.of("forecasts: time beyond the budget", beyond, None, Aim(at_most=0.05))
    return [*measures, late]


def _ours(each: ForecastSet, seconds: float) -> tuple[Forecasts, float]:
    """Returns our forecasts by series, and how long the search took."""
    panel = each.panel()
    begun = time.monotonic()
    with TemporaryDirectory() as folder:
        tuned = tune_forecast(panel, ForecastSettings(seconds), Path(folder))
    took = time.monotonic() - begun
    table = tuned.estimator.forecast(levels=())
    told = table["forecast"].to_numpy(np.float64).reshape(panel.series_count, each.horizon)
    names = (title[0] for title in panel.labels)
    return dict(zip(names, told, strict=True)), took


def _line(each: ForecastSet, losses: Mapping[str, list[float]], took: float) -> str:
    reached = ", ".join(f"{name} {found[-1]:.4f}" for name, found in losses.items())
    return f"  {each.name}, MASE: {reached}; ours took {took:.1f} s"


if __name__ == "__main__":
    publish("tuner-forecasts", *forecasts())
