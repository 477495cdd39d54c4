"""Members of forecasters: what they tell of series of all kinds."""

import numpy as np
import pytest

from common.models.estimators.forecasting.classical import ARIMA, CES, ETS, MSTL, THETA, Classical
from common.models.estimators.forecasting.grid import Grid
from common.models.estimators.forecasting.history import History, filled
from common.models.estimators.forecasting.intervals import LEVELS, Intervals
from common.models.estimators.forecasting.lag_table import LagTable
from common.models.estimators.forecasting.linear_lags import LinearLags
from common.models.estimators.forecasting.member import Member
from common.models.estimators.forecasting.simple import SIMPLE

SEASON = 12
WAVE = 10 + np.sin(np.arange(120) * 2 * np.pi / SEASON)

MEMBERS = [
    *(Classical(kind, (SEASON,)) for kind in (*SIMPLE, ETS, THETA, ARIMA, MSTL, CES)),
    Classical(THETA, (SEASON,), "additive", is_log=True),
    LinearLags((SEASON,), 3, 1, 3),
    LinearLags((SEASON,), 12, 3, 0, is_changes=True),
]


@pytest.mark.parametrize(
    "member", MEMBERS, ids=lambda member: f"{type(member).__name__}-{member}"[:40]
)
@pytest.mark.parametrize(
    "values",
    [
        WAVE[:1],
        WAVE[:3],
        WAVE[:20],
        np.full(60, 5.0),
        np.zeros(60),
        -WAVE,
        WAVE * 1e9,
        np.where(np.arange(60) % 7, 0.0, 3.0),
    ],
    ids=["one", "three", "short", "constant", "zeros", "negative", "huge", "intermittent"],
)
def test_any_series_is_gone_on_with(member: Member, values: np.ndarray) -> None:
    """Whatever the series, forecasts are finite and of its size."""
    told = member.forecast([History(0, values)], 15)
    assert told.shape == (1, 15)
    assert np.isfinite(told).all()
    assert np.abs(told).max() <= 12 * np.abs(values).max() + 1e-6


@pytest.mark.parametrize("kind", [ETS, ARIMA, MSTL])
def test_seasons_go_on(kind: str) -> None:
    """A clean wave is told exactly, nearly."""
    told = Classical(kind, (SEASON,)).forecast([History(0, WAVE)], SEASON)[0]
    assert np.abs(told - WAVE[:SEASON]).max() < 0.1


def test_lines_through_waves_go_on() -> None:
    """A season that is no whole number of steps is one for waves."""
    steps = np.arange(300)
    values = np.sin(steps * 2 * np.pi / 10.5) + 0.01 * steps
    told = LinearLags((10.5,), 2, 0, 2, has_trend=True).forecast([History(0, values[:270])], 30)
    assert np.abs(told[0] - values[270:]).max() < 0.05


def test_lags_never_look_behind_their_origin() -> None:
    """Rows are the same whatever comes after their origin."""
    table = LagTable(Grid("seconds", 3600.0, 0.0), (24,), 5, 3, True)
    values = np.random.default_rng(0).normal(size=200)
    origins, ahead = np.arange(60, 120), np.tile(np.arange(1, 31), 2)
    later = values.copy()
    later[120:] = 1e3
    whole = table.rows(History(0, values), origins, ahead)
    cut = table.rows(History(0, later), origins, ahead)
    assert np.allclose(whole, cut, equal_nan=True)


def test_gaps_are_bridged_in_season() -> None:
    """A gap as long as half a season keeps its shape."""
    gappy = WAVE.copy()
    gappy[50:56] = np.nan
    assert np.abs(filled(gappy, SEASON) - WAVE).max() < 0.2
    assert np.isfinite(filled(np.array([np.nan, 1.0, np.nan]), SEASON)).all()


def test_intervals_hold_as_often_as_they_say() -> None:
    """Of new errors like the old ones eight in ten lie within, at each step."""
    generator = np.random.default_rng(0)
    sizes = np.sqrt(np.arange(1, 7))
    intervals = Intervals.of(generator.normal(size=(300, 6)) * sizes)
    bounds = intervals.quantiles(np.zeros((1, 6)), np.ones(1), [0.1, 0.9])[0]
    new = generator.normal(size=(5000, 6)) * sizes
    inside = ((new > bounds[:, 0]) & (new < bounds[:, 1])).mean(axis=0)
    assert np.abs(inside - 0.8).max() < 0.05
    assert (np.diff(bounds[:, 1]) > 0).all()


def test_intervals_without_any_error() -> None:
    """Where nothing is known of errors, quantiles are the forecasts."""
    intervals = Intervals.of(np.full((2, 3), np.nan))
    assert len(intervals.errors) == len(LEVELS)
    found = intervals.quantiles(np.ones((1, 5)), np.ones(1), [0.1])
    assert found.tolist() == np.ones((1, 5, 1)).tolist()
