"""Boosted trees over what is known of a step some steps before; one model for all series."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.models.estimators.boosted import BoostedRegressor
from common.models.estimators.forecasting.grid import Floats
from common.models.estimators.forecasting.history import History
from common.models.estimators.forecasting.lag_table import LagTable

_WILD = 10.0


@dataclass(frozen=True)
class BoostedLags:
    """Trees that tell the next few steps at once, then those after them from what they told.

    Attributes:
        table: Makes their rows.
        trees: Tell the distance from what `LagTable.frame_of` gives.
        block: Steps that are told at once.
        is_log: Whether logarithms are modelled, of series whose values are all above 0.
    """

    table: LagTable
    trees: BoostedRegressor
    block: int
    is_log: bool = False

    @property
    def uses_covariates(self) -> bool:
        """See `Member`."""
        return bool(self.table.columns or self.table.past_columns)

    def forecast(
        self, histories: Sequence[History], horizon: int, check: Callable[[], None] = lambda: None
    ) -> Floats:
        """See `Member.forecast`."""
        logs = [self.is_log and each.values.min() > 0 for each in histories]
        seen = [
            replace(each, values=np.log(each.values)) if is_log else each
            for each, is_log in zip(histories, logs, strict=True)
        ]
        found = np.empty((len(histories), horizon))
        for begin in range(0, horizon, self.block):
            check()
            width = min(self.block, horizon - begin)
            told = self._block(seen, width)
            found[:, begin : begin + width] = told
            seen = [
                replace(each, values=np.append(each.values, new))
                for each, new in zip(seen, told, strict=True)
            ]
        for place, is_log in enumerate(logs):
            if is_log:
                found[place] = np.exp(found[place])
        return np.stack(
            [_tamed(each.values, own) for each, own in zip(histories, found, strict=True)]
        )

    def _block(self, histories: Sequence[History], width: int) -> Floats:
        """Returns the next few values, (series, width)."""
        ahead = np.arange(1, width + 1)
        rows, levels, sizes = [], [], []
        for each in histories:
            origins = np.full(width, len(each.values) - 1)
            rows.append(self.table.rows(each, origins, ahead))
            level, size = self.table.frame_of(each.values, origins, ahead)
            levels.append(level)
            sizes.append(size)
        told = self.trees.predict(np.vstack(rows)).reshape(len(histories), width)
        return np.asarray(np.stack(levels) + np.stack(sizes) * told)


def _tamed(values: Floats, told: Floats) -> Floats:
    """Returns forecasts without those that are far beyond all that was ever seen."""
    reach = _WILD * (values.max() - values.min())
    return np.clip(np.nan_to_num(told, nan=values[-1]), values.min() - reach, values.max() + reach)
