"""Panels: what is read from data frames, and what is refused."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from common.errors import InvalidFieldError
from common.models.estimators.forecasting.grid import BUSINESS_DAYS, COUNT, MONTHS, SECONDS
from services.tuner.domain.forecasting.judging import judging_of, windows_of
from services.tuner.domain.forecasting.panel import SERIES, STEP, problem_of
from services.tuner.domain.forecasting.reading import read_panel


def hourly(days: int = 30, **columns: object) -> pd.DataFrame:
    """Returns a series with a daily season."""
    times = pd.date_range("2024-01-01", periods=24 * days, freq="h")
    values = (
        10 + np.sin(np.arange(len(times)) * 2 * np.pi / 24) + 0.01 * (np.arange(len(times)) % 7)
    )
    return pd.DataFrame({"time": times, "target": values, **columns})


@pytest.mark.parametrize(
    ("frequency", "unit", "seasons"),
    [
        ("h", SECONDS, (24,)),
        ("MS", MONTHS, (12,)),
        ("ME", MONTHS, (12,)),
        ("B", BUSINESS_DAYS, (5,)),
        ("QS", MONTHS, (4,)),
        ("30min", SECONDS, (48,)),
    ],
)
def test_frequency_and_season(frequency: str, unit: str, seasons: tuple[int, ...]) -> None:
    """Times are found on their grid, and lead back to themselves."""
    times = pd.date_range("2020-01-31", periods=300, freq=frequency)
    values = np.tile(np.arange(float(seasons[0])), 300)[:300]
    panel = read_panel(pd.DataFrame({"time": times, "y": values}), "y", "time", horizon=3)
    assert panel.grid.unit == unit
    assert panel.season_lengths == seasons
    steps = panel.series[0].start + np.arange(300)
    assert (panel.grid.moments(steps) == times.to_numpy("datetime64[us]")).all()


def test_counted_steps_have_the_season_that_data_show() -> None:
    """Without a calendar the autocorrelation tells the season."""
    generator = np.random.default_rng(0)
    values = np.sin(np.arange(400) * 2 * np.pi / 10) + 0.1 * generator.normal(size=400)
    panel = read_panel(
        pd.DataFrame({"time": 3 * np.arange(400), "y": values}), "y", "time", horizon=3
    )
    assert (panel.grid.unit, panel.grid.size, panel.season_lengths) == (COUNT, 3, (10,))


def test_two_seasons_of_hours() -> None:
    """A day and a week are both seen where both are there."""
    frame = hourly(60)
    frame["target"] += 3 * (frame["time"].dt.dayofweek >= 5)
    panel = read_panel(frame, "target", "time", horizon=24)
    assert panel.season_lengths == (24, 168)


def test_missing_steps_are_bridged_in_season() -> None:
    """Rows that are not there and values that are not known count as missing steps."""
    frame = hourly()
    frame.loc[100:105, "target"] = np.nan
    panel = read_panel(frame.drop(index=range(200, 206)), "target", "time", horizon=24)
    series = panel.series[0]
    history = panel.history(0, series.start + len(series.values))
    assert panel.row_count == len(frame) - 12
    assert "12 of 720 steps" in panel.notes[0]
    whole = 10 + np.sin(np.arange(720) * 2 * np.pi / 24)
    assert np.abs(history.values - whole).max() < 0.1


def test_rows_behind_the_last_value_tell_the_known_future() -> None:
    """Covariates of the future are kept where they are said to be known, else not."""
    frame = hourly(10, price=np.arange(240.0), rain=np.arange(240.0))
    frame.loc[230:, "target"] = np.nan
    panel = read_panel(frame, "target", "time", horizon=10, known=["price"])
    history = panel.history(0, panel.series[0].start + 230)
    price, rain = history.covariates[230:].T
    assert price.tolist() == list(range(230, 240))
    assert np.isnan(rain).all()


def duplicated(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a frame with a time twice."""
    return pd.concat([frame, frame.iloc[[5]]])


def irregular(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a frame with times at random."""
    seconds = np.sort(np.random.default_rng(0).integers(0, 10**7, len(frame)))
    return frame.assign(time=pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s"))


@pytest.mark.parametrize(
    ("made", "field", "words"),
    [
        (duplicated, "forecast.series_columns", "same time, 2024-01-01 05:00:00"),
        (irregular, "forecast.time_column", "no regular distance"),
        (lambda frame: frame.head(4), "target", "the longest has 4"),
        (lambda frame: frame.assign(target=np.nan), "target", "no values"),
        (lambda frame: frame.assign(target="much"), "target", "other values than numbers"),
        (lambda frame: frame.assign(target=np.inf), "target", "not finite in row 1"),
        (lambda frame: frame.drop(columns="target"), "target", "no column `target`"),
        (lambda frame: frame.assign(time="today"), "forecast.time_column", "neither times"),
        (lambda frame: frame.assign(time=pd.NaT), "forecast.time_column", "no value in row 1"),
        (lambda frame: frame.head(0), "target", "no rows"),
    ],
)
def test_refusals(made: Callable[[pd.DataFrame], pd.DataFrame], field: str, words: str) -> None:
    """Each names the field and what is wrong."""
    with pytest.raises(InvalidFieldError) as refused:
        read_panel(made(hourly()), "target", "time", horizon=3)
    [violation] = refused.value.violations
    assert violation.field == field
    assert words in violation.description


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"horizon": 0}, "forecast.horizon"),
        ({"horizon": 10_001}, "forecast.horizon"),
        ({"horizon": 3, "season_lengths": [1]}, "forecast.season_lengths"),
        ({"horizon": 3, "season_lengths": [2, 3, 4, 5]}, "forecast.season_lengths"),
        ({"horizon": 3, "season_lengths": [5_000]}, "forecast.season_lengths"),
        ({"horizon": 3, "known": ["price"]}, "forecast.known_columns"),
        ({"horizon": 3, "series": ["time"]}, "forecast.series_columns"),
    ],
)
def test_settings_that_do_not_fit(arguments: dict[str, object], field: str) -> None:
    """Each names its field."""
    with pytest.raises(InvalidFieldError) as refused:
        read_panel(hourly(), "target", "time", **arguments)  # type: ignore[arg-type]
    assert refused.value.violations[0].field == field


def test_series_that_are_too_short_are_left_out() -> None:
    """The others go on, and a note says which are not there."""
    frame = pd.concat([hourly(3, shop="a"), hourly(3, shop="b").head(3)])
    panel = read_panel(frame, "target", "time", ["shop"], horizon=3)
    assert panel.labels == [("a",)]
    assert "`b`" in panel.notes[0]


def test_windows_never_know_what_they_judge() -> None:
    """Rows of a window that are known lie before those that are judged, in each series."""
    frames = [hourly(20, shop=str(shop)).iloc[: 480 - shop] for shop in range(30)]
    panel = read_panel(pd.concat(frames), "target", "time", ["shop"], horizon=24)
    problem = problem_of(panel)
    windows = windows_of(problem, panel, 8, 0)
    places, steps = problem.features[SERIES].to_numpy(), problem.features[STEP].to_numpy()
    assert len(windows) > 3
    for each in windows:
        known, judged = each.split.train, each.split.judged
        assert len(np.unique(places[judged])) >= 4
        for series in np.unique(places[judged]):
            own = judged[places[judged] == series]
            assert len(own) == 24
            assert steps[known[places[known] == series]].max() < steps[own].min()


def test_mase_is_the_mean_over_series_in_units_of_their_scale() -> None:
    """A series that is a thousand times as large counts the same."""
    small = hourly(10, shop="a")
    large = hourly(10, shop="b")
    large["target"] *= 1000
    panel = read_panel(pd.concat([small, large]), "target", "time", ["shop"], horizon=24)
    judging = judging_of(panel, "mase")
    problem = problem_of(panel, judging.weights)
    off = np.where(problem.features[SERIES] == 0, 1.0, 1000.0)
    outputs = (problem.truth.astype(np.float64) + off)[:, None]
    loss = judging.metric.loss(problem.truth, outputs, problem.weights)
    assert loss == pytest.approx(1 / panel.scales()[0])
    with pytest.raises(InvalidFieldError, match="mase"):
        judging_of(panel, "accuracy")
