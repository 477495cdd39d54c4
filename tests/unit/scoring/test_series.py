"""Metrics of forecasts."""

import numpy as np
import pytest

from common.scoring.series import Mase, Smape


def test_mase() -> None:
    """Errors count by those of the seasonal naive forecast (Hyndman and Koehler 2006)."""
    history = np.array([1.0, 10.0, 2.0, 12.0, 3.0, 14.0])
    metric = Mase(season=2)
    assert metric.scale(history) == pytest.approx(1.5)
    truth = np.array([4.0, np.nan, 16.0])
    assert metric.loss(truth, np.array([1.0, 5.0, 16.0]), history) == pytest.approx(1)


@pytest.mark.parametrize(
    ("history", "scale"),
    [
        ([], 1),
        ([0.0, 0.0], 1),
        ([-5.0, -5.0, -5.0], 5),
        ([1.0, 3.0], 2),
        ([1.0, 3.0, 1.0, 3.0], 2),
        ([1.0, np.nan, 2.0, 4.0], 1),
    ],
)
def test_mase_of_odd_histories(history: list[float], scale: float) -> None:
    """Short, constant, exactly repeating and gappy histories have a scale above 0."""
    assert Mase(season=2).scale(np.array(history)) == scale


def test_smape() -> None:
    """From 0 to 2; where truth and forecast are 0 there is no error."""
    truth = np.array([0.0, 0.0, 2.0, np.nan])
    forecasts = np.array([0.0, 3.0, 1.0, 9.0])
    assert Smape().loss(truth, forecasts, np.zeros(0)) == pytest.approx((0 + 2 + 2 / 3) / 3)


def test_missing_forecasts_are_not_overlooked() -> None:
    """A forecast that is not a number makes the loss none, rather than smaller."""
    truth, forecasts = np.array([1.0, 2.0]), np.array([1.0, np.nan])
    for metric in (Mase(), Smape()):
        assert np.isnan(metric.loss(truth, forecasts, np.arange(3.0)))
