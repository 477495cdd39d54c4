"""All families of forecasting models, by name."""

from common.models.estimators.forecasting.classical import ARIMA, CES, ETS, MSTL, THETA
from services.tuner.domain.forecasting.families.boosted_lags import BoostedFamily
from services.tuner.domain.forecasting.families.classical import Naive, Statistical
from services.tuner.domain.forecasting.families.family import ForecastFamily
from services.tuner.domain.forecasting.families.linear_lags import LinearFamily

# Trials are forked from the host: what they all need is imported there, once.
import statsforecast.models  # noqa: F401 # isort: skip

_ALL: tuple[ForecastFamily, ...] = (
    Naive("naive"),
    Statistical(ETS),
    Statistical(THETA),
    Statistical(ARIMA),
    Statistical(MSTL),
    Statistical(CES),
    LinearFamily("linear_lags"),
    BoostedFamily("boosted_lags"),
)

FAMILIES: dict[str, ForecastFamily] = {family.name: family for family in _ALL}
