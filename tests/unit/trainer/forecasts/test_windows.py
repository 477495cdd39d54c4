"""Series cut into windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data.schema import Part
from common.errors import InvalidFieldError
from services.trainer.domain.forecasts.specification import Forecast
from services.trainer.domain.forecasts.windows import Windows, cut

DAY = 86_400_000_000


def in_order(length: int, validation: int, test: int) -> np.ndarray:
    """Returns the parts of one series whose newest rows validate and test."""
    parts = np.full(length, Part.TRAIN, np.uint8)
    parts[length - test - validation :] = Part.VALIDATION
    parts[length - test :] = Part.TEST
    return parts


def windows_of(
    lengths: list[int], parts: np.ndarray, horizon: int = 3, window: int = 5, season: int = 1
) -> Windows:
    """Cuts series of rising numbers, each a thousand above the one before, out of order."""
    values = np.concatenate([1_000 * n + np.arange(each) for n, each in enumerate(lengths)])
    series = np.repeat(np.arange(len(lengths)), lengths)
    times = np.concatenate([DAY * np.arange(each) for each in lengths])
    order = np.random.default_rng(0).permutation(len(values))
    forecast = Forecast(horizon=horizon, window=window, season=season)
    return cut(
        values[order].astype(np.float64), times[order], [series[order]], parts[order], forecast
    )


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    validation=st.integers(0, 9),
    test=st.integers(0, 9),
    horizon=st.integers(1, 5),
    window=st.integers(1, 8),
)
def test_no_part_sees_what_is_forecast_in_another(
    lengths: list[int], validation: int, test: int, horizon: int, window: int
) -> None:
    """Protects honest figures: what is validated or tested is never trained on."""
    parts = np.concatenate(
        [in_order(n, min(validation, n), min(test, max(n - validation, 0))) for n in lengths]
    )
    try:
        found = windows_of(lengths, parts, horizon, window)
    except InvalidFieldError:
        assert max(lengths) < window + 2 * horizon + validation + test
        return
    ahead, behind = np.arange(horizon), np.arange(-window, 0)

    def future(windows: np.ndarray) -> set[float]:
        return {*found.values[windows[:, None] + ahead].ravel().tolist()}

    seen = future(found.training) | {*found.values[(found.training[:, None] + behind)].ravel()}
    assert not seen & future(found.validation)
    assert not seen & future(found.test)
    assert not future(found.validation) & future(found.test)
    for part in (found.training, found.validation, found.test):
        spans = found.values[part[:, None] + np.arange(-window, horizon)]
        assert (np.diff(spans, axis=1) == 1).all(), "a window is of one series, in order of time"


def test_the_last_horizon_before_the_test_part_validates() -> None:
    """Protects data without a validation part, and one that is shorter than a horizon."""
    for validation in (0, 2):
        found = windows_of([30], in_order(30, validation, 4))
        assert found.values[found.validation].tolist() == [23]
        assert found.values[found.training].tolist() == [*range(5, 21)]
        assert found.values[found.test].tolist() == [26, 27]


def test_all_windows_of_a_long_validation_part_count() -> None:
    """Protects validation from resting on one forecast where there are many."""
    found = windows_of([40], in_order(40, 9, 0))
    assert found.values[found.validation].tolist() == [*range(31, 38)]
    assert len(found.test) == 0


def test_a_split_at_random_does_not_count() -> None:
    """Protects from rows of the future among those that are trained on."""
    parts = np.random.default_rng(1).integers(0, 3, 60).astype(np.uint8)
    found = windows_of([30, 30], parts)
    assert found.values[found.test].tolist() == [27, 1_027]
    assert found.values[found.validation].tolist() == [24, 1_024]


def test_windows_across_a_gap_are_left_out() -> None:
    """Protects from forecasts of the wrong day; weekends of business days are no gaps."""
    days = np.arange(60) + 20 * (np.arange(60) >= 30)
    forecast = Forecast(horizon=2, window=4, season=1)
    values, parts = np.arange(60.0), np.zeros(60, np.uint8)
    found = cut(values, days * DAY, [], parts, forecast)
    assert not {*range(29, 34)} & {*found.training.tolist()}
    business = np.arange(60) // 5 * 7 + np.arange(60) % 5
    assert len(cut(values, business * DAY, [], parts, forecast).training) == 53


def test_short_series_are_left_out_and_all_short_ones_are_an_error() -> None:
    """Protects panels with a few new series; names what is too long."""
    found = windows_of([30, 4], np.zeros(34, np.uint8))
    assert (found.values < 1_000)[found.training].all()
    with pytest.raises(InvalidFieldError, match="longest has 10 rows") as caught:
        windows_of([10], np.zeros(10, np.uint8))
    assert caught.value.reason == "SERIES_TOO_SHORT"


def test_a_time_that_is_there_twice_is_named() -> None:
    """Protects from series that are mixed up."""
    forecast = Forecast(horizon=2, window=4, season=1)
    with pytest.raises(InvalidFieldError, match="two rows of the same time") as caught:
        cut(np.arange(40.0), np.repeat(np.arange(20), 2), [], np.zeros(40, np.uint8), forecast)
    assert caught.value.violations[0].field == "training_run.spec.forecast.series_columns"


def test_errors_are_measured_by_changes_from_season_to_season() -> None:
    """Protects MASE: the scale is that of the training part, of each series."""
    parts = np.concatenate([in_order(30, 3, 3), in_order(30, 3, 3)])
    found = windows_of([30, 30], parts, season=4)
    assert np.unique(found.scales).tolist() == [4.0]
