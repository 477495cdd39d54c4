"""What a forecaster is worth on steps that were put aside, and that it goes on from all of them."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from common.models.estimators.forecasting.forecaster import Forecaster, Part
from common.models.estimators.forecasting.grid import Floats
from common.models.estimators.forecasting.history import History
from common.models.estimators.forecasting.intervals import Intervals
from common.models.estimators.forecasting.linear_lags import LinearLags
from common.models.estimators.forecasting.member import Member
from services.tuner.domain.forecasting.growing import grown
from services.tuner.domain.forecasting.panel import Panel, shortened
from services.tuner.domain.forecasting.reading import read_panel
from services.tuner.domain.forecasting.testing import ForecastTest, forecast_test
from services.tuner.domain.page.forecasts import error_by_step, forecasts_of_series
from services.tuner.domain.problem import Positions

HORIZON, SEASON, DAYS = 4, 7, 70


def panel_of(noise: float = 0.0, shops: int = 2) -> Panel:
    """Shops whose sales come again each week, and grow a little."""
    generator = np.random.default_rng(0)
    days = pd.date_range("2026-01-05", periods=DAYS, freq="D")
    frames = [
        pd.DataFrame(
            {
                "day": days,
                "shop": f"shop {shop}",
                "sales": 100.0 * (shop + 1)
                + 10.0 * (np.arange(DAYS) % SEASON)
                + np.arange(DAYS)
                + noise * generator.normal(size=DAYS),
            }
        )
        for shop in range(shops)
    ]
    return read_panel(pd.concat(frames), "sales", "day", ["shop"], horizon=HORIZON)


def forecaster_of(panel: Panel, member: Member) -> Forecaster:
    """A forecaster of one member, which knows a panel."""
    kept = [
        panel.history(at, each.start + len(each.values)) for at, each in enumerate(panel.series)
    ]
    part = Part(member, 1.0, member.forecast(kept, HORIZON))
    return Forecaster.of(
        [part],
        panel.names,
        panel.grid,
        kept,
        panel.labels,
        Intervals.of(np.ones((3, HORIZON))),
        horizon=HORIZON,
        season=SEASON,
    )


MEMBER = LinearLags(seasons=(float(SEASON),), lags=8, season_lags=1, has_trend=True, ridge=1e-6)


def found(whole: Panel, steps: int, metric: str = "mase") -> ForecastTest:
    learned = shortened(whole, steps)
    test = forecast_test(forecaster_of(learned, MEMBER), whole, learned, metric)
    assert test is not None
    return test


def test_windows_follow_one_another_until_the_end() -> None:
    """The last one is shorter; each knows all that came before it."""
    test = found(panel_of(), 10)
    assert (test.windows, test.row_count) == (3, 20)
    assert test.loss < 0.05 < test.floor_loss
    assert test.by_step.shape == (HORIZON,) and (test.by_step < test.floor_by_step).all()


@pytest.mark.parametrize("metric", ["mase", "smape", "rmse", "mae", "mape"])
def test_each_metric_is_small_where_forecasts_are_good(metric: str) -> None:
    test = found(panel_of(noise=0.5), HORIZON, metric)
    assert 0 < test.loss < test.floor_loss


def test_mase_is_in_units_of_the_seasonal_change_that_was_learned_from() -> None:
    """A week's growth is 7: who says the last week again is off by one such unit."""
    assert found(panel_of(), HORIZON).floor_loss == pytest.approx(1.0)


class Slow:
    """Takes a while for each series."""

    uses_covariates = False

    def forecast(
        self, histories: Sequence[History], horizon: int, check: Callable[[], None] = lambda: None
    ) -> Floats:
        """Goes on as long as it is let."""
        for _ in range(len(histories) * 100_000):
            check()
        return np.zeros((len(histories), horizon))


def test_no_window_counts_that_is_not_over_in_time() -> None:
    whole = panel_of()
    learned = shortened(whole, HORIZON)
    ends = time.monotonic() + 0.01
    slow = forecaster_of(learned, Slow())
    assert forecast_test(slow, whole, learned, "mase", lambda: time.monotonic() > ends) is None


def test_a_series_that_begins_later_is_not_tested_but_kept() -> None:
    """It has no past that could be gone on from."""
    whole = panel_of()
    late = whole.series[1]
    few = type(late)(late.label, late.start + DAYS - 3, late.values[-3:], late.covariates[-3:])
    whole = type(whole)(
        whole.names, whole.grid, (whole.series[0], few), HORIZON, whole.season_lengths
    )
    learned = shortened(whole, HORIZON)
    forecaster = forecaster_of(learned, MEMBER)
    test = forecast_test(forecaster, whole, learned, "mase")
    assert test is not None and test.row_count == HORIZON
    model = grown(forecaster, whole)
    assert model.labels_ == [("shop 0",), ("shop 1",)]
    told = model.forecast()
    assert told["day"].min() == pd.Timestamp("2026-01-05") + pd.Timedelta(days=DAYS)
    assert np.isfinite(told["forecast"]).all()


def test_what_was_learned_goes_on_from_the_newest_step() -> None:
    whole = panel_of()
    before = forecaster_of(shortened(whole, 10), MEMBER)
    after = grown(before, whole)
    assert after.parts_[0].member is before.parts_[0].member
    steps: Positions = np.arange(DAYS, DAYS + HORIZON)
    expected = 100.0 + 10.0 * (steps % SEASON) + steps
    np.testing.assert_allclose(after.forecast()["forecast"][:HORIZON], expected, atol=2.0)


def test_the_page_shows_windows_and_errors() -> None:
    """Of a few series of many; without a test by the windows of the past."""
    test = found(panel_of(noise=1.0, shops=6), HORIZON)
    assert len(forecasts_of_series([], test).parts) == 4
    assert "4 of 6 series" in forecasts_of_series([], test).note
    assert len(error_by_step([], test).parts) == 1
    assert len(error_by_step(test.backtests, None).parts) == 1
    assert error_by_step([], None).parts == ["Nothing is known of what came."]
