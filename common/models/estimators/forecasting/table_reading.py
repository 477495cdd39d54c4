"""What rows of a data frame ask of a forecaster: which series, known until when, told how far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from common.models.estimators.forecasting.columns import PanelColumns, missing_names
from common.models.estimators.forecasting.grid import Floats, Grid, Steps
from common.models.estimators.forecasting.history import History, filled

_MOST_STEPS = 100_000


@dataclass(frozen=True)
class Asked:
    """One series in a data frame.

    Attributes:
        rows: Its rows.
        history: What is known of it.
        kept: Which of the kept series goes on; None where the frame has other values.
        known: What is known of the rows' steps, NaN where these are told, (rows,).
        ahead: How far each row is behind the last known step, at most 0 if not at all, (rows,).
    """

    rows: Steps
    history: History
    kept: int | None
    known: Floats
    ahead: Steps

    @property
    def horizon(self) -> int:
        """Steps to tell, 0 for none."""
        return max(int(self.ahead.max()), 0)


def asked_of(
    frame: pd.DataFrame,
    columns: PanelColumns,
    grid: Grid,
    labels: Sequence[tuple[str, ...]],
    kept: Sequence[History],
    season: int,
) -> list[Asked]:
    """Returns what is asked, series by series.

    Args:
        frame: The rows.
        columns: Which ones it has.
        grid: Of the times.
        labels: Of the kept series.
        kept: These.
        season: Steps in the main season.

    Raises:
        ValueError: A column or a time is missing, or nothing is known of a series.
    """
    needed = [*columns.series, columns.time, *(c.name for c in columns.covariates if c.is_known)]
    missing = missing_names(needed, frame)
    if missing:
        raise ValueError(f"The column `{missing[0]}`, which the model takes, is missing.")
    times = columns.times(frame)
    if np.isnan(times).any():
        raise ValueError(
            f"The column `{columns.time}` has no value in row {_first(np.isnan(times))}."
        )
    steps, values, table = grid.steps(times), columns.values(frame), columns.matrix(frame)
    places = {label: place for place, label in enumerate(labels)}
    own: dict[tuple[str, ...], list[int]] = {}
    for row, label in enumerate(columns.labels(frame)):
        own.setdefault(label, []).append(row)
    return [
        _asked(label, np.array(rows), steps, values, table, places.get(label), kept, season)
        for label, rows in own.items()
    ]


def _asked(
    label: tuple[str, ...],
    rows: Steps,
    steps: Steps,
    values: Floats,
    table: Floats,
    place: int | None,
    kept: Sequence[History],
    season: int,
) -> Asked:
    is_known = ~np.isnan(values[rows])
    if is_known.any():
        known = rows[is_known]
        history, place = _history(steps[known], values[known], season), None
    elif place is None:
        raise ValueError(
            f"Nothing is known of the series `{' '.join(label)}`; give rows of its past too."
        )
    else:
        history = kept[place]
    ahead = steps[rows] - history.end + 1
    horizon = max(int(ahead.max()), 0)
    if horizon > _MOST_STEPS:
        raise ValueError(f"A row lies {horizon:,} steps after what is known; check its time.")
    inside = steps[rows] - history.start
    if (inside < 0).any():
        raise ValueError("A row without a target lies before all that is known of its series.")
    within = np.minimum(inside, len(history.values) - 1)
    told = np.where(is_known, values[rows], np.where(ahead > 0, np.nan, history.values[within]))
    if table.shape[1]:
        history = _with_covariates(history, steps[rows], table[rows], horizon)
    return Asked(rows, history, place, told, ahead)


def _history(steps: Steps, values: Floats, season: int) -> History:
    first = int(steps.min())
    length = int(steps.max()) - first + 1
    if length > _MOST_STEPS * 10:
        raise ValueError(f"A series spans {length:,} steps; check its times.")
    line = np.full(length, np.nan)
    line[steps - first] = values
    return History(first, filled(line, season))


def _with_covariates(history: History, steps: Steps, table: Floats, horizon: int) -> History:
    """Returns the history with what rows tell; what they do not stays as it was kept."""
    length = len(history.values) + horizon
    wide = np.full((length, table.shape[1]), np.nan)
    known = history.covariates[:length]
    if known.size:
        wide[: len(known)] = known
    places = steps - history.start
    told = np.where(np.isnan(table), wide[places], table)
    wide[places] = told
    return replace(history, covariates=wide)


def _first(mask: "np.ndarray") -> int:
    return int(np.argmax(mask)) + 1
