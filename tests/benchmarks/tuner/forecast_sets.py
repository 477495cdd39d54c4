"""The series that contenders forecast: the manifest, what is held out, and the loss.

`make bench NAME=tuner DATA=folder` says where they are; by default beside the repository.
"""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.tuner.domain.forecasting.panel import Panel
from services.tuner.domain.forecasting.reading import read_panel
from tests.benchmarks.harness import ROOT

Values = npt.NDArray[np.float64]

_SERIES, _TIME, _TARGET = "series", "time", "target"
_SAMPLE = 12


@dataclass(frozen=True)
class ForecastSet:
    """Series with what is held out of each.

    Attributes:
        name: Unique.
        frame: All rows.
        horizon: Steps that are held out.
        season: Steps in a season, that MASE is measured by and single models are told.
        back: How many horizons before the last one are held out instead; rows after it are not
            there. For development: the last one is for the final measure.
    """

    name: str
    frame: pd.DataFrame
    horizon: int
    season: int
    back: int = 0

    @property
    def known(self) -> Mapping[str, Values]:
        """What came before, by series."""
        return {name: each[: -self.horizon] for name, each in self._values.items()}

    def panel(self) -> Panel:
        """Returns what came before as a panel, its seasons to be found out."""
        table = self._cut
        kept = table.groupby(_SERIES).cumcount(ascending=False) >= self.horizon
        return read_panel(table[kept], _TARGET, _TIME, [_SERIES], horizon=self.horizon)

    def loss(self, told: Mapping[str, Values]) -> float:
        """Returns the mean MASE over the series."""
        losses = []
        for name, values in self._values.items():
            known, truth = values[: -self.horizon], values[-self.horizon :]
            scale = np.abs(known[self.season :] - known[: -self.season]).mean()
            losses.append(np.abs(truth - told[name]).mean() / scale)
        return float(np.mean(losses))

    @property
    def _cut(self) -> pd.DataFrame:
        left = self.frame.groupby(_SERIES).cumcount(ascending=False)
        return self.frame[left >= self.back * self.horizon]

    @property
    def _values(self) -> Mapping[str, Values]:
        groups = self._cut.groupby(_SERIES)
        return {str(name): each[_TARGET].to_numpy(np.float64) for name, each in groups}


def forecast_sets(back: int = 0) -> list[ForecastSet]:
    """Returns the forecasting sets of the manifest.

    Args:
        back: See `ForecastSet.back`.
    """
    folder = Path(os.environ.get("DATA") or ROOT.parent / "shared" / "data" / "tuner")
    with (folder / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["task"] == "forecast"]
    return [_set(row["name"], row["notes"], folder, back) for row in rows]


def _set(name: str, notes: str, folder: Path, back: int) -> ForecastSet:
    told = dict(each.split("=") for each in notes.split())
    frame = pd.read_parquet(folder / f"{name}.parquet")
    frame[_SERIES] = frame[_SERIES].astype(str)
    frame = frame.sort_values([_SERIES, _TIME], ignore_index=True)
    names = frame[_SERIES].unique()
    if len(names) > _SAMPLE and os.environ.get("FULL", "") in ("", "0"):
        chosen = np.random.RandomState(0).permutation(names)[:_SAMPLE]
        frame = frame[frame[_SERIES].isin(chosen)]
    return ForecastSet(name, frame, int(told["horizon"]), int(told["season"]), back)
