"""What a part of a forecaster is."""

from collections.abc import Callable, Sequence
from typing import Protocol

from common.models.estimators.forecasting.grid import Floats
from common.models.estimators.forecasting.history import History


class Member(Protocol):
    """A way to go on with series; keeps what it has learned."""

    @property
    def uses_covariates(self) -> bool:
        """Whether forecasts depend on covariates."""
        ...

    def forecast(
        self, histories: Sequence[History], horizon: int, check: Callable[[], None] = lambda: None
    ) -> Floats:
        """Returns the next values, (series, horizon).

        Args:
            histories: At least one value each.
            horizon: Steps.
            check: Called between series; may raise to stop.
        """
        ...
