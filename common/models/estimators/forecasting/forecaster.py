"""A blend of ways to go on with series, which keeps what it has seen of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin

from common.models.estimators.combining import Mean, combined
from common.models.estimators.forecasting.columns import CATEGORY, TRUTH, PanelColumns
from common.models.estimators.forecasting.grid import Floats, Grid
from common.models.estimators.forecasting.history import History, error_scale
from common.models.estimators.forecasting.intervals import Intervals
from common.models.estimators.forecasting.member import Member
from common.models.estimators.forecasting.table_reading import asked_of

_QUANTILE = "quantile_{:g}"


@dataclass(frozen=True)
class Part:
    """A member of a blend.

    Attributes:
        member: The member.
        weight: Its share.
        forecasts: Of the kept series, (series, horizon).
    """

    member: Member
    weight: float
    forecasts: Floats


class Forecaster(RegressorMixin, BaseEstimator):
    """Goes on with the series that it keeps, or with others of the same columns.

    Attributes:
        parts_: What it is made of.
        mean_: How forecasts are averaged, see `Mean`.
        columns_: Which columns there are.
        grid_: Of the times.
        season_: Steps in the main season, 1 without any.
        horizon_: Steps that it was made for; more are told from what it told.
        labels_: Names of the kept series.
        kept_: What is known of these.
        intervals_: How far off it may be.
    """

    parts_: list[Part]
    mean_: str
    columns_: PanelColumns
    grid_: Grid
    season_: int
    horizon_: int
    labels_: list[tuple[str, ...]]
    kept_: list[History]
    intervals_: Intervals
    feature_names_in_: npt.NDArray[np.object_]
    n_features_in_: int

    @classmethod
    def of(
        cls,
        parts: Sequence[Part],
        columns: PanelColumns,
        grid: Grid,
        kept: Sequence[History],
        labels: Sequence[tuple[str, ...]],
        intervals: Intervals,
        *,
        horizon: int,
        season: int = 1,
        mean: Mean = Mean.PLAIN,
    ) -> "Forecaster":
        """Returns a forecaster; arguments are its attributes."""
        made = cls()
        made.parts_, made.mean_ = list(parts), mean.value
        made.columns_, made.grid_, made.season_ = columns, grid, season
        made.horizon_, made.intervals_ = horizon, intervals
        made.labels_, made.kept_ = list(labels), list(kept)
        made.feature_names_in_ = np.array(columns.names, dtype=object)
        made.n_features_in_ = len(columns.names)
        return made

    def fit(self, features: Any, truth: Any) -> Any:
        """Raises TypeError: it is fitted from the start."""
        raise TypeError("A forecaster is made of members that are fitted: make another with `of`.")

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `of` made it."""
        return hasattr(self, "parts_")

    def known_values(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Yields positions of columns with values that they may have; see `frames.columns_of`."""
        for place, _ in enumerate(self.columns_.series):
            yield place, sorted({each[place] for each in self.labels_})
        first = len(self.columns_.series) + 2
        for place, each in enumerate(self.columns_.covariates):
            if each.kind == TRUTH:
                yield first + place, [False, True]
            elif each.kind == CATEGORY:
                yield first + place, list(each.labels)

    def forecast(
        self, horizon: int | None = None, levels: Sequence[float] = (0.1, 0.9)
    ) -> pd.DataFrame:
        """Returns how the kept series go on, a row for each and each step.

        Args:
            horizon: Steps; as many as it was made for by default.
            levels: Of quantiles, above 0 and below 1.

        Returns:
            Columns of the series, the time, `forecast`, and `quantile_0.1` and so on.
        """
        horizon = self.horizon_ if horizon is None else horizon
        _check(horizon, levels)
        found = self._continued(self.kept_, range(len(self.kept_)), horizon)
        quantiles = self._quantiles(self.kept_, found, levels).reshape(found.size, len(levels))
        steps = np.concatenate([each.end + np.arange(horizon) for each in self.kept_])
        table: dict[str, Any] = {
            name: [label[place] for label in self.labels_ for _ in range(horizon)]
            for place, name in enumerate(self.columns_.series)
        }
        table[self.columns_.time] = self.grid_.moments(steps)
        table["forecast"] = found.ravel()
        for place, level in enumerate(levels):
            table[_QUANTILE.format(level)] = quantiles[:, place]
        return pd.DataFrame(table)

    def predict(self, frame: Any) -> Floats:
        """Returns a value for each row, (rows,): of rows with a target that, of others a forecast.

        Args:
            frame: Columns of `feature_names_in_`. Rows with a target are what is known of their
                series; those without are told. Of a series without any known row the kept one goes
                on. Times that lie before the end of what is known get the value that bridges them.

        Raises:
            ValueError: A column or a time is missing, or nothing is known of a series.
        """
        return self._told(frame, ())[:, 0]

    def predict_quantiles(self, frame: Any, levels: Sequence[float]) -> Floats:
        """Returns quantiles for each row, (rows, levels); of rows with a target all are that.

        Args:
            frame: See `predict`.
            levels: Above 0 and below 1.

        Raises:
            ValueError: As of `predict`, or a level is not between 0 and 1.
        """
        _check(1, levels)
        return self._told(frame, levels)[:, 1:]

    def _told(self, frame: Any, levels: Sequence[float]) -> Floats:
        table = (
            frame
            if isinstance(frame, pd.DataFrame)
            else pd.DataFrame(frame, columns=self.feature_names_in_.tolist())
        )
        if not len(table):
            return np.zeros((0, 1 + len(levels)))
        asked = asked_of(table, self.columns_, self.grid_, self.labels_, self.kept_, self.season_)
        horizon = max((each.horizon for each in asked), default=0)
        told = np.empty((len(table), 1 + len(levels)))
        if horizon:
            found = self._continued(
                [each.history for each in asked], [each.kept for each in asked], horizon
            )
            quantiles = self._quantiles([each.history for each in asked], found, levels)
        for place, each in enumerate(asked):
            told[each.rows] = each.known[:, None]
            later = each.ahead > 0
            if later.any():
                told[each.rows[later], 0] = found[place, each.ahead[later] - 1]
                told[each.rows[later], 1:] = quantiles[place, each.ahead[later] - 1]
        return told

    def _continued(
        self, histories: Sequence[History], kept: Sequence[int | None], horizon: int
    ) -> Floats:
        """Returns how series go on, (series, horizon); `kept` says which kept one it is, if any."""
        found = np.empty((len(histories), 0))
        while found.shape[1] < horizon:
            longer = [_longer(each, own) for each, own in zip(histories, found, strict=True)]
            is_first = not found.shape[1]
            block = self._block(longer, kept if is_first else [None] * len(longer))
            found = np.hstack([found, block])
        return found[:, :horizon]

    def _block(self, histories: Sequence[History], kept: Sequence[int | None]) -> Floats:
        outputs = [self._of(each, histories, kept) for each in self.parts_]
        flat = [each.reshape(-1, 1) for each in outputs]
        weights = [each.weight for each in self.parts_]
        return combined(flat, weights, Mean(self.mean_)).reshape(len(histories), -1)

    def _of(self, part: Part, histories: Sequence[History], kept: Sequence[int | None]) -> Floats:
        found = np.empty((len(histories), self.horizon_))
        fresh = []
        for place, own in enumerate(kept):
            is_same = own is not None and (
                not part.member.uses_covariates or histories[place] is self.kept_[own]
            )
            if is_same:
                found[place] = part.forecasts[own]
            else:
                fresh.append(place)
        if fresh:
            given = [_padded(histories[place], self.horizon_) for place in fresh]
            found[fresh] = part.member.forecast(given, self.horizon_)
        return found

    def _quantiles(
        self, histories: Sequence[History], found: Floats, levels: Sequence[float]
    ) -> Floats:
        scales = np.array([error_scale(each.values, self.season_) for each in histories])
        return self.intervals_.quantiles(found, scales, levels)

    def __sklearn_tags__(self) -> Any:
        """Returns what scikit-learn asks of an estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _longer(history: History, told: Floats) -> History:
    if not len(told):
        return history
    return History(history.start, np.concatenate([history.values, told]), history.covariates)


def _padded(history: History, horizon: int) -> History:
    """Returns a history whose covariates reach as far as the horizon, NaN where not known."""
    table, length = history.covariates, len(history.values) + horizon
    if len(table) >= length or not table.size:
        return history
    missing = np.full((length - len(table), table.shape[1]), np.nan)
    return History(history.start, history.values, np.vstack([table, missing]))


def _check(horizon: int, levels: Sequence[float]) -> None:
    if horizon < 1:
        raise ValueError(f"The horizon is {horizon} steps; it has to be at least 1.")
    for level in levels:
        if not 0 < level < 1:
            raise ValueError(f"A quantile's level lies between 0 and 1, {level:g} does not.")
