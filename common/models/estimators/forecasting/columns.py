"""Columns of a panel in a data frame, as forecasters take them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from common.models.estimators.forecasting.grid import Floats
from common.models.estimators.frame_values import seconds_of, text_of

NUMBER, TRUTH, CATEGORY = "number", "truth", "category"


@dataclass(frozen=True)
class Covariate:
    """A column beside the target.

    Attributes:
        name: Its name.
        kind: `NUMBER` (times too, as seconds), `TRUTH` or `CATEGORY`.
        is_known: Whether its future is known when a forecast is asked for.
        labels: Of a category; others are missing.
    """

    name: str
    kind: str
    is_known: bool
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class PanelColumns:
    """Names of the columns.

    Attributes:
        target: What is forecast.
        time: When.
        series: Whose; empty where there is one series.
        covariates: The others that count.
    """

    target: str
    time: str
    series: tuple[str, ...]
    covariates: tuple[Covariate, ...]

    @property
    def names(self) -> list[str]:
        """All names, in the order in which forecasters have them."""
        return [*self.series, self.time, self.target, *(each.name for each in self.covariates)]

    def labels(self, frame: pd.DataFrame) -> list[tuple[str, ...]]:
        """Returns the series of each row."""
        texts = [[text_of(each) or "" for each in frame[name].tolist()] for name in self.series]
        return list(zip(*texts, strict=True)) if texts else [()] * len(frame)

    def times(self, frame: pd.DataFrame) -> Floats:
        """Returns numbers, or seconds since 1970, NaN for missing, (rows,)."""
        return seconds_of(frame[self.time])

    def values(self, frame: pd.DataFrame) -> Floats:
        """Returns what is known of the target, NaN for missing, (rows,)."""
        if self.target not in frame:
            return np.full(len(frame), np.nan)
        return np.asarray(frame[self.target].to_numpy(np.float64, na_value=np.nan))

    def matrix(self, frame: pd.DataFrame) -> Floats:
        """Returns covariates as numbers, NaN for missing, (rows, covariates)."""
        found = np.full((len(frame), len(self.covariates)), np.nan)
        for place, each in enumerate(self.covariates):
            if each.name in frame:
                found[:, place] = _numbers(frame[each.name], each)
        return found


def missing_names(names: Sequence[str], frame: pd.DataFrame) -> list[str]:
    """Returns the names of columns that a frame has not."""
    return [name for name in names if name not in frame.columns]


def _numbers(column: "pd.Series[object]", covariate: Covariate) -> Floats:
    if covariate.kind == CATEGORY:
        places = {label: float(place) for place, label in enumerate(covariate.labels)}
        texts = (text_of(value) for value in column.tolist())
        return np.array([np.nan if each is None else places.get(each, np.nan) for each in texts])
    if column.dtype.kind == "O":
        return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(np.float64))
    return seconds_of(column)
