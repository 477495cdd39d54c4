"""Names of families and metrics of forecasts. Light on purpose: the service names them."""

FORECAST_FAMILIES = (
    "naive",
    "ets",
    "theta",
    "arima",
    "mstl",
    "ces",
    "linear_lags",
    "boosted_lags",
)
"""The families that may be tried."""

FORECAST_METRICS = ("mase", "smape", "rmse", "mae", "mape")
"""What forecasts may be judged by, the default first."""
