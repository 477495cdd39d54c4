"""A forecaster that has learned goes on with other series, or with longer ones."""

from collections.abc import Callable, Sequence

from common.models.estimators.combining import Mean, combined
from common.models.estimators.forecasting.forecaster import Forecaster, Part
from common.models.estimators.forecasting.grid import Floats
from common.models.estimators.forecasting.history import History
from services.tuner.domain.forecasting.panel import Panel

Check = Callable[[], None]


def grown(forecaster: Forecaster, panel: Panel, check: Check = lambda: None) -> Forecaster:
    """Returns the forecaster with all values of a panel as what it knows; nothing is learned.

    Args:
        forecaster: What was learned from a part of the panel.
        panel: The series that it keeps.
        check: Called between series; may raise to stop.
    """
    kept = [
        panel.history(place, each.start + len(each.values))
        for place, each in enumerate(panel.series)
    ]
    parts = [
        Part(each.member, each.weight, each.member.forecast(kept, forecaster.horizon_, check))
        for each in forecaster.parts_
    ]
    return Forecaster.of(
        parts,
        forecaster.columns_,
        forecaster.grid_,
        kept,
        panel.labels,
        forecaster.intervals_,
        horizon=forecaster.horizon_,
        season=forecaster.season_,
        mean=Mean(forecaster.mean_),
    )


def continued(
    forecaster: Forecaster, histories: Sequence[History], check: Check = lambda: None
) -> Floats:
    """Returns how any series go on, (series, horizon).

    Args:
        forecaster: What was learned.
        histories: What is known of them.
        check: Called between series; may raise to stop.
    """
    outputs = [
        each.member.forecast(histories, forecaster.horizon_, check).reshape(-1, 1)
        for each in forecaster.parts_
    ]
    weights = [each.weight for each in forecaster.parts_]
    return combined(outputs, weights, Mean(forecaster.mean_)).reshape(len(histories), -1)
