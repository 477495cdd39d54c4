"""Models of single series, learned anew whenever a forecast is made: mostly statsforecast's."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.models.estimators.forecasting.grid import Floats
from common.models.estimators.forecasting.history import History
from common.models.estimators.forecasting.simple import SIMPLE, seasonal_naive

ETS, THETA, ARIMA, MSTL, CES = "ets", "theta", "arima", "mstl", "ces"

_SHORTEST = 5
_LONGEST_SEASON = 24
_ARIMA_ORDERS = 3
_WILD = 10.0


@dataclass(frozen=True)
class Classical:
    """A model of each series by itself.

    Attributes:
        kind: One of `SIMPLE`, `ETS`, `THETA`, `ARIMA`, `MSTL` or `CES`.
        seasons: Steps in each season, the main one first; empty for none.
        option: What kind of it: of `ETS` its form, `ZZZ` for any, of `THETA` how seasons are
            taken out, of `MSTL` the kind that goes on with the trend; else nothing.
        is_log: Whether logarithms are modelled, where all values are above 0.
        longest: Of longer series only the last so many values are looked at; 0 for all.
    """

    kind: str
    seasons: tuple[int, ...] = ()
    option: str = ""
    is_log: bool = False
    longest: int = 0

    @property
    def uses_covariates(self) -> bool:
        """See `Member`."""
        return False

    def forecast(
        self, histories: Sequence[History], horizon: int, check: Callable[[], None] = lambda: None
    ) -> Floats:
        """See `Member.forecast`. Where a series is not for the model, its seasons are repeated."""
        found = np.empty((len(histories), horizon))
        for place, each in enumerate(histories):
            check()
            found[place] = self._one(each.values[-self.longest :], horizon)
        return found

    def _one(self, values: Floats, horizon: int) -> Floats:
        if self.kind in SIMPLE:
            return SIMPLE[self.kind](values, self._season, horizon)
        usual = seasonal_naive(values, self._season, horizon)
        if len(values) < _SHORTEST or values.min() == values.max():
            return usual
        is_log = self.is_log and values.min() > 0
        seen = np.log(values) if is_log else values
        try:
            with warnings.catch_warnings():  # of searches that go on with another start
                warnings.simplefilter("ignore")
                told = np.asarray(self._model(seen).forecast(seen, horizon)["mean"], np.float64)
        except (ValueError, ArithmeticError, RuntimeError, IndexError, np.linalg.LinAlgError):
            return usual  # What a model does not take is its own affair.
        with np.errstate(over="ignore"):
            told = np.exp(told) if is_log else told
        return told if _is_sane(told, values) else usual

    @property
    def _season(self) -> int:
        return self.seasons[0] if self.seasons else 1

    def _model(self, values: Floats) -> Any:
        # Imported here: it takes seconds, and who only looks at a file does without.
        from statsforecast import models  # noqa: PLC0415

        fitting = [each for each in self.seasons if 2 * each < len(values)]
        season = fitting[0] if fitting and fitting[0] <= _LONGEST_SEASON else 1
        if self.kind == ETS:
            return _ets(models, season, self.option)
        if self.kind == THETA:
            way = self.option or "multiplicative"
            way = way if values.min() > 0 else "additive"
            return models.AutoTheta(fitting[0] if fitting else 1, decomposition_type=way)
        if self.kind == CES:
            return models.AutoCES(season)
        if self.kind == ARIMA:
            return _arima(models, season)
        if not fitting:
            return models.AutoTheta(1)
        return models.MSTL(fitting, trend_forecaster=_trend(models, self.option))


def _ets(models: Any, season: int, form: str) -> Any:
    form = form or "ZZZ"
    is_damped = True if form.endswith("d") else None
    form = form.removesuffix("d")
    if season == 1:
        form = form[:2] + "N"
    return models.AutoETS(season, model=form, damped=is_damped)


def _arima(models: Any, season: int) -> Any:
    return models.AutoARIMA(
        season_length=season,
        approximation=True,
        max_p=_ARIMA_ORDERS,
        max_q=_ARIMA_ORDERS,
        max_P=1,
        max_Q=1,
        nmodels=30,
    )


def _trend(models: Any, kind: str) -> Any:
    if kind == THETA:
        return models.AutoTheta(1)
    if kind == ARIMA:
        return _arima(models, 1)
    if kind == CES:
        return models.AutoCES(1)
    return models.AutoETS(1, model="ZZN")


def _is_sane(told: Floats, values: Floats) -> bool:
    if not np.isfinite(told).all():
        return False
    middle = (values.max() + values.min()) / 2
    reach = _WILD * (values.max() - values.min())
    return bool((np.abs(told - middle) <= reach).all())
