"""Searches for forecasters, from panel to skops file."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io

from common.models.skops_model import open_skops
from services.tuner.domain.forecasting.names import FORECAST_FAMILIES
from services.tuner.domain.forecasting.panel import Panel, problem_of
from services.tuner.domain.forecasting.reading import read_panel
from services.tuner.domain.forecasting.registry import FAMILIES
from services.tuner.domain.forecasting.sources import ForecastSources
from services.tuner.domain.forecasting.tuning import (
    ForecastSettings,
    TunedForecast,
    tune_forecast,
)
from services.tuner.domain.search.earlier import NOTHING_EARLIER, Earlier
from services.tuner.domain.search.library import CONTINUED, FLOOR, Entry, Library
from services.tuner.domain.trials.trial import Candidate, Split, TrialResult

pytestmark = pytest.mark.slow

HORIZON = 8
QUICK = ("linear_lags", "boosted_lags")
SECONDS = 90.0


def daily(days: int = 200, seed: int = 0, **columns: object) -> pd.DataFrame:
    """Returns a series with a weekly season, a trend, and a covariate that matters."""
    generator = np.random.default_rng(seed)
    times = pd.date_range("2023-01-01", periods=days, freq="D")
    price = generator.integers(0, 2, days)
    values = 5.0 * (times.dayofweek >= 5) + 0.05 * np.arange(days) + 8 * price
    noise = 0.3 * generator.normal(size=days)
    kinds = np.where(price, "much", "little")
    return pd.DataFrame(
        {"time": times, "target": values + noise, "price": price, "kind": kinds, **columns}
    )


def shops(count: int, days: int = 120) -> pd.DataFrame:
    """Returns a panel."""
    frames = [daily(days, shop, shop=f"s{shop}") for shop in range(count)]
    return pd.concat(frames, ignore_index=True).drop(columns=["price", "kind"])


def tuned(panel: Panel, folder: Path, families: tuple[str, ...], trials: int) -> TunedForecast:
    """Returns what a search finds in so many trials, however long these take."""
    return gone_on(panel, folder, families, trials)[0]


def gone_on(
    panel: Panel,
    folder: Path,
    families: tuple[str, ...],
    trials: int,
    seconds: float = SECONDS,
    earlier: Earlier = NOTHING_EARLIER,
) -> tuple[TunedForecast, set[tuple[int, int]]]:
    """Returns the same of a search that knows something, and candidate and fold of its trials.

    The trials of the floor are not counted.
    """
    ended: list[tuple[int, int]] = []

    def watch(_: Library, result: TrialResult) -> None:
        ended.append((result.task.candidate.number, result.task.fold))

    def is_over() -> bool:
        return sum(number > 0 for number, _ in ended) >= trials

    settings = ForecastSettings(seconds, families=families)
    found = tune_forecast(panel, settings, folder, watch, is_over, earlier)
    assert len(set(ended)) == len(ended)
    return found, set(ended)


def copied(library: Library) -> dict[int, Entry]:
    """Returns the entries that have something to tell, for another search to go on with."""
    return {
        number: replace(each, results=list(each.results))
        for number, each in library.entries.items()
        if each.folds or each.failure is not None
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> TunedForecast:
    """Returns a search of two series with covariates of which the future is known."""
    frame = pd.concat([daily(seed=0, shop="a"), daily(seed=1, shop="b")])
    panel = read_panel(frame, "target", "time", ["shop"], horizon=HORIZON, known=["price", "kind"])
    return tuned(panel, tmp_path_factory.mktemp("trials"), QUICK, 17)


def test_names_are_those_of_the_registry() -> None:
    """The service, which does not import it, names the same families."""
    assert tuple(FAMILIES) == FORECAST_FAMILIES


def test_better_than_the_floor(found: TunedForecast) -> None:
    """A covariate that explains most is found; the floor is among the candidates."""
    floors = [each for each in found.library.entries.values() if each.origin == FLOOR]
    assert floors[0].candidate.family == "naive"
    assert found.ensemble.loss < 0.8 * floors[0].loss(floors[0].folds)
    assert sum(found.ensemble.weights.values()) == pytest.approx(1)


def test_backtests_tell_windows(found: TunedForecast) -> None:
    """Each has its truth within bounds most of the time."""
    inside = [(each.low <= each.truth) & (each.truth <= each.high) for each in found.backtests]
    assert {each.series for each in found.backtests} == {"a", "b"}
    assert 0.6 < np.concatenate(inside).mean() <= 1
    assert all(len(each.times) == len(each.truth) == HORIZON for each in found.backtests)


def test_forecast_of_the_kept_series(found: TunedForecast) -> None:
    """A row for each step of each series, quantiles around it; longer ones go on."""
    table = found.estimator.forecast(levels=(0.1, 0.9))
    assert list(table) == ["shop", "time", "forecast", "quantile_0.1", "quantile_0.9"]
    assert len(table) == 2 * HORIZON
    assert table["time"].min() == pd.Timestamp("2023-07-20")
    assert (table["quantile_0.1"] <= table["quantile_0.9"]).all()
    assert list(found.estimator.forecast(levels=())) == ["shop", "time", "forecast"]
    longer = found.estimator.forecast(3 * HORIZON)
    first = longer.groupby("shop").head(HORIZON)
    assert np.allclose(first["forecast"], table["forecast"])


def test_known_covariates_change_forecasts(found: TunedForecast) -> None:
    """What is said of the future counts, and unknown labels are no error."""
    rows = pd.DataFrame(
        {"shop": "a", "time": pd.date_range("2023-07-20", periods=HORIZON), "target": np.nan}
    )
    low = found.estimator.predict(rows.assign(price=0.0, kind="little"))
    high = found.estimator.predict(rows.assign(price=1.0, kind="much"))
    assert (high - low).mean() > 3
    assert np.isfinite(found.estimator.predict(rows.assign(price=0.0, kind="?"))).all()


def test_another_history_is_gone_on_with(found: TunedForecast) -> None:
    """Rows with a target are the history, of a series never seen too."""
    frame = daily(80, seed=5, shop="new")
    frame["target"] += 100
    rows = frame.assign(target=frame["target"].where(frame.index < 70))
    told = found.estimator.predict(rows)
    assert np.array_equal(told[:70], frame["target"][:70])
    assert np.abs(told[70:] - frame["target"][70:]).mean() < 6
    quantiles = found.estimator.predict_quantiles(rows, [0.2, 0.8])
    assert (quantiles[70:, 0] <= quantiles[70:, 1]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shop": "c"}, "Nothing is known of the series `c`"),
        ({"time": pd.NaT}, "no value in row 1"),
        ({"time": pd.Timestamp("2020-01-01")}, "lies before all that is known"),
        ({"time": pd.Timestamp("9000-01-01").as_unit("s")}, "check its time"),
    ],
)
def test_rows_that_cannot_be_told(
    found: TunedForecast, change: dict[str, object], words: str
) -> None:
    """Each error says what is wrong."""
    row = {"shop": ["a"], "time": [pd.Timestamp("2023-07-21")], "price": [0.0], "kind": ["much"]}
    with pytest.raises(ValueError, match=words):
        found.estimator.predict(pd.DataFrame(row).assign(**change))
    with pytest.raises(ValueError, match="`price`"):
        found.estimator.predict(pd.DataFrame(row).drop(columns="price"))


def test_skops_round_trip(found: TunedForecast) -> None:
    """The file opens with the allow list as it is, and tells the same."""
    model = open_skops(skops.io.dumps(found.estimator), "skops")
    kinds = {each.name: each.dtype for each in model.columns}
    assert kinds == {
        "shop": "object",
        "time": "float64",
        "target": "float64",
        "price": "float64",
        "kind": "object",
    }
    times = pd.date_range("2023-07-20", periods=HORIZON)
    inputs = {
        "shop": np.array(["b"] * HORIZON, object),
        "time": times.to_numpy("datetime64[s]").astype(np.float64),
        "target": np.full(HORIZON, np.nan),
        "price": np.ones(HORIZON),
        "kind": np.array(["much"] * HORIZON, object),
    }
    expected = found.estimator.predict(pd.DataFrame(inputs))
    assert np.array_equal(model.predict(inputs)["prediction"], expected)


def test_a_hundred_series(tmp_path: Path) -> None:
    """A panel ends in time and tells all series, whatever their size."""
    frame = shops(100)
    frame.loc[frame["shop"] == "s7", "target"] *= -1e4
    frame.loc[frame["shop"] == "s8", "target"] = 3.0
    panel = read_panel(frame, "target", "time", ["shop"], horizon=HORIZON)
    result = tuned(panel, tmp_path, ("linear_lags", "theta"), 20)
    table = result.estimator.forecast()
    assert len(table) == 100 * HORIZON
    assert np.isfinite(table["forecast"]).all()
    assert table[table["shop"] == "s8"]["forecast"].to_numpy() == pytest.approx(3)


@pytest.mark.parametrize(
    "values",
    [np.full(60, 4.0), np.arange(8.0), -(np.arange(60.0) ** 1.1)],
    ids=["constant", "short", "negative"],
)
def test_odd_single_series(values: np.ndarray, tmp_path: Path) -> None:
    """Whatever there is of a series, there is a forecast; horizons beyond its length too."""
    frame = pd.DataFrame({"step": np.arange(len(values)), "y": values})
    panel = read_panel(frame, "y", "step", horizon=10)
    told = tuned(panel, tmp_path, ("linear_lags",), 9).estimator.forecast()
    assert len(told) == 10
    assert np.isfinite(told["forecast"]).all()


def test_a_budget_without_a_single_trial(tmp_path: Path) -> None:
    """The floor comes back, at once."""
    panel = read_panel(daily(), "target", "time", horizon=HORIZON)
    result = tune_forecast(panel, ForecastSettings(0.5), tmp_path)
    assert list(result.ensemble.weights) == [0]
    last = panel.series[0].values[-7:]
    assert np.array_equal(result.estimator.forecast()["forecast"], np.resize(last, HORIZON))


def test_the_budget_is_kept(tmp_path: Path) -> None:
    """A search ends in time with what it has by then, whatever trials are under way."""
    panel = read_panel(shops(20), "target", "time", ["shop"], horizon=HORIZON)
    begun = time.monotonic()
    tune_forecast(panel, ForecastSettings(10.0, families=("arima", "ets")), tmp_path)
    assert time.monotonic() - begun < 11.5


def test_what_is_known_is_not_forecast_again(tmp_path: Path) -> None:
    """The windows stay, although more time would make more; settings are tried once."""
    panel = read_panel(daily(), "target", "time", horizon=HORIZON)
    folders = [tmp_path / name for name in ("before", "after")]
    for folder in folders:
        folder.mkdir()
    before, fitted = gone_on(panel, folders[0], ("linear_lags",), 6)
    known = before.library
    earlier = Earlier(known.parts, known.digest, list(copied(known).values()))
    after, fitted_after = gone_on(panel, folders[1], ("linear_lags",), 6, 3 * SECONDS, earlier)
    library = after.library
    assert not fitted & fitted_after and len(fitted_after) >= 6
    assert library.digest == known.digest
    for number, each in known.entries.items():
        assert library.entries[number].results[: each.folds] == each.results
    settings = [str(each.candidate.configuration) for each in library.entries.values()]
    assert len(set(settings)) == len(settings)


def test_what_another_search_found_comes_first() -> None:
    """As far as its families may be tried; the floor, which is known by then, does not again."""
    panel = read_panel(daily(), "target", "time", horizon=HORIZON)
    problem = problem_of(panel)
    rows = np.arange(problem.row_count)
    library = Library([Split(rows[:100], rows[100:])])
    floor = FAMILIES["naive"].space(problem).default
    library.register(Candidate(0, "naive", floor), FLOOR)
    sources = ForecastSources(problem, [FAMILIES["naive"], FAMILIES["linear_lags"]], 0)
    found = [("ets", {}), ("naive", floor), ("linear_lags", {"lags": 5})]
    sources.go_on(library, found)
    first, origin = sources.next(library)
    assert (first.number, first.family, origin) == (1, "linear_lags", CONTINUED)
    assert first.configuration["lags"] == 5
    assert sources.next(library)[1] != CONTINUED
