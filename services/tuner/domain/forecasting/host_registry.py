"""The families as the host of trials imports them: with all that trials need, once for all."""

import statsforecast.models  # noqa: F401

from services.tuner.domain.forecasting.registry import FAMILIES

__all__ = ["FAMILIES"]
