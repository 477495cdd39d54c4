"""Panels from data frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from common.data.schema import ColumnType
from common.errors import InvalidFieldError
from common.models.estimators.forecasting.columns import (
    CATEGORY,
    NUMBER,
    TRUTH,
    Covariate,
    PanelColumns,
)
from common.models.estimators.forecasting.grid import Floats, Grid, Steps
from common.models.estimators.forecasting.history import filled
from common.models.estimators.frame_values import text_of
from services.tuner.domain.forecasting.grids import grid_of
from services.tuner.domain.forecasting.panel import Panel, Series
from services.tuner.domain.forecasting.seasons import seasons_of

TARGET, TIME, SERIES, HORIZON, SEASONS, KNOWN = (
    "target",
    "forecast.time_column",
    "forecast.series_columns",
    "forecast.horizon",
    "forecast.season_lengths",
    "forecast.known_columns",
)
"""Paths of the fields that errors name."""

MOST_HORIZON, MOST_SEASONS = 10_000, 3
_LEAST_VALUES = 6
_MOST_LABELS = 1_000
_MOST_STEPS = 20_000_000
_LARGEST = 1e150
_SPARSE = 20


@dataclass(frozen=True)
class _Rows:
    """Rows of one series, ascending in time.

    Attributes:
        label: See `Series.label`.
        times: Numbers or seconds.
        values: NaN where missing.
        table: Covariates.
    """

    label: tuple[str, ...]
    times: Floats
    values: Floats
    table: Floats


def read_panel(
    frame: pd.DataFrame,
    target: str,
    time: str,
    series: Sequence[str] = (),
    *,
    horizon: int,
    known: Sequence[str] = (),
    season_lengths: Sequence[int] = (),
    types: Mapping[str, ColumnType] | None = None,
) -> Panel:
    """Returns the panel of a data frame.

    Args:
        frame: A row for each time of each series, in any order. Rows without a target after the
            last one that has one tell covariates of the future.
        target: Column of numbers, NaN for missing.
        time: Column of times, or of whole numbers that count steps.
        series: Columns that name the series of a row; none where there is one.
        horizon: Steps to forecast.
        known: Columns whose future is known when a forecast is asked for.
        season_lengths: Steps after which the pattern comes again, the main one first; by default
            those of the calendar that the data show.
        types: Of other columns, where they are known.

    Raises:
        InvalidFieldError: A column is missing or holds something else; a series has a time twice;
            times have no regular distance; or all series are too short.
    """
    _check_names(frame, target, time, series, known)
    _check_sizes(horizon, season_lengths)
    taken = {target, time, *series}
    covariates = [
        _covariate(frame[name], str(name), name in known, (types or {}).get(str(name)))
        for name in frame.columns
        if name not in taken
    ]
    names = PanelColumns(target, time, tuple(series), tuple(filter(None, covariates)))
    is_count = _check_times(frame[time], time)
    rows, notes = _rows(frame, names)
    grid = grid_of([each.times for each in rows], is_count, TIME)
    found = [_series(each, grid, names) for each in rows]
    notes += _gaps(found)
    return _with_seasons(
        Panel(names, grid, tuple(found), horizon, (), notes=tuple(notes)), season_lengths
    )


def _check_names(
    frame: pd.DataFrame, target: str, time: str, series: Sequence[str], known: Sequence[str]
) -> None:
    fields = [(TARGET, [target]), (TIME, [time]), (SERIES, series), (KNOWN, known)]
    seen: dict[str, str] = {}
    for field, names in fields:
        for name in names:
            if name not in frame.columns:
                raise _bad(field, f"there is no column `{name}`; choose another")
            if name in seen:
                raise _bad(
                    field, f"the column `{name}` is already taken as {seen[name]}; choose another"
                )
            seen[name] = f"`{field}`"
    if not len(frame):
        raise _bad(TARGET, "there are no rows")


def _check_sizes(horizon: int, season_lengths: Sequence[int]) -> None:
    if not 1 <= horizon <= MOST_HORIZON:
        raise _bad(HORIZON, f"it is {horizon}; take 1 to {MOST_HORIZON:,} steps")
    if len(season_lengths) > MOST_SEASONS:
        raise _bad(SEASONS, f"there are {len(season_lengths)}; take at most {MOST_SEASONS}")
    if any(each < 2 for each in season_lengths):
        raise _bad(SEASONS, "each has to be at least 2 steps; leave them out if there is none")


def _covariate(
    column: "pd.Series[object]", name: str, is_known: bool, kind: ColumnType | None
) -> Covariate | None:
    """Returns a column as it counts; None where it does not, as free texts."""
    if kind in (ColumnType.TEXT, ColumnType.IMAGE, ColumnType.EMBEDDING):
        return None
    if kind is ColumnType.BOOLEAN or column.dtype.kind == "b":
        return Covariate(name, TRUTH, is_known)
    is_number = kind in (ColumnType.NUMERIC, ColumnType.TIMESTAMP) or column.dtype.kind in "iufM"
    if kind is not ColumnType.CATEGORICAL and is_number:
        return Covariate(name, NUMBER, is_known)
    labels = sorted({text for text in map(text_of, column.tolist()) if text is not None})
    if len(labels) > _MOST_LABELS:
        return None
    return Covariate(name, CATEGORY, is_known, tuple(labels))


def _check_times(column: "pd.Series[object]", name: str) -> bool:
    """Returns whether times are whole numbers."""
    is_moment = column.dtype.kind == "M" or isinstance(column.dtype, pd.DatetimeTZDtype)
    if not is_moment and column.dtype.kind not in "iuf":
        raise _bad(
            TIME, f"the column `{name}` holds neither times nor whole numbers; choose another"
        )
    missing = column.isna().to_numpy()
    if missing.any():
        raise _bad(TIME, f"the column `{name}` has no value in row {int(missing.argmax()) + 1}")
    if is_moment:
        return False
    values = column.to_numpy(np.float64)
    if not (values == np.rint(values)).all():
        raise _bad(TIME, f"the column `{name}` holds other numbers than whole ones; choose another")
    return True


def _rows(frame: pd.DataFrame, names: PanelColumns) -> tuple[list[_Rows], list[str]]:
    """Returns the rows of each series that has enough, and what was left out."""
    values = _values(frame, names.target)
    times, table = names.times(frame), names.matrix(frame)
    own: dict[tuple[str, ...], list[int]] = {}
    for row, label in enumerate(names.labels(frame)):
        own.setdefault(label, []).append(row)
    found: list[_Rows] = []
    short: list[_Rows] = []
    for label in sorted(own):
        places = np.array(own[label])
        places = places[np.argsort(times[places], kind="stable")]
        each = _Rows(label, times[places], values[places], table[places])
        _check_once(each, frame[names.time].iloc[places])
        known = int((~np.isnan(each.values)).sum())
        (found if known >= _LEAST_VALUES else short).append(each)
    if not found:
        longest = max(int((~np.isnan(each.values)).sum()) for each in short)
        raise _bad(
            SERIES if names.series else TARGET,
            f"no series has {_LEAST_VALUES} values of `{names.target}`, the longest has {longest}; "
            "give more of the past",
        )
    notes = []
    if short:
        notes.append(
            f"{len(short)} series with fewer than {_LEAST_VALUES} values were left out, "
            f"`{_title(short[0].label)}` for instance."
        )
    return found, notes


def _values(frame: pd.DataFrame, target: str) -> Floats:
    column = frame[target]
    if column.dtype.kind not in "iufb" and not pd.api.types.is_numeric_dtype(column):
        raise _bad(TARGET, f"the column `{target}` holds other values than numbers")
    values: Floats = column.to_numpy(np.float64, na_value=np.nan)
    wild = ~np.isnan(values) & ~(np.abs(values) < _LARGEST)
    if wild.any():
        raise _bad(TARGET, f"the column `{target}` is not finite in row {int(wild.argmax()) + 1}")
    if np.isnan(values).all():
        raise _bad(TARGET, f"the column `{target}` has no values")
    return values


def _check_once(rows: _Rows, times: "pd.Series[object]") -> None:
    same = np.flatnonzero(np.diff(rows.times) == 0)
    if not len(same):
        return
    at = times.iloc[int(same[0])]
    where = f"the series `{_title(rows.label)}`" if rows.label else "the series"
    cure = "name the columns of the series, or sum up the rows of a time"
    raise _bad(SERIES, f"{where} has {len(same) + 1} rows of the same time, {at} for one; {cure}")


def _series(rows: _Rows, grid: Grid, names: PanelColumns) -> Series:
    steps = _single(grid.steps(rows.times), rows, grid)
    known = np.flatnonzero(~np.isnan(rows.values))
    first, last = int(steps[known[0]]), int(steps[known[-1]])
    length = int(steps[-1]) - first + 1
    if length > _MOST_STEPS or (length > 10_000 and length > _SPARSE * len(steps)):
        raise _bad(
            TIME,
            f"the series `{_title(rows.label)}` has {len(steps):,} rows in {length:,} steps of "
            "time; sum up the rows to longer steps first",
        )
    kept = steps >= first
    places = steps[kept] - first
    values = np.full(length, np.nan)
    values[places] = rows.values[kept]
    table = np.full((length, rows.table.shape[1]), np.nan)
    table[places] = rows.table[kept]
    return Series(rows.label, first, values[: last - first + 1], _bridged(table))


def _single(steps: Steps, rows: _Rows, grid: Grid) -> Steps:
    same = np.flatnonzero(np.diff(steps) <= 0)
    if not len(same):
        return steps
    at = grid.moments(steps[same[:1]])[0]
    raise _bad(
        TIME,
        f"two rows of the series `{_title(rows.label)}` fall on one step, {at}; times have no "
        "regular distance there",
    )


def _bridged(table: Floats) -> Floats:
    """Returns covariates whose gaps hold what was last known."""
    if not table.size:
        return table
    frame = pd.DataFrame(table)
    return np.asarray(frame.ffill().bfill().to_numpy(np.float64))


def _gaps(found: Sequence[Series]) -> list[str]:
    missing = sum(int(np.isnan(each.values).sum()) for each in found)
    if not missing:
        return []
    total = sum(len(each.values) for each in found)
    return [f"{missing:,} of {total:,} steps have no value; they were bridged."]


def _with_seasons(panel: Panel, wanted: Sequence[int]) -> Panel:
    values = [filled(each.values) for each in panel.series]
    longest = max(len(each) for each in values)
    if wanted and min(wanted) >= longest:
        raise _bad(SEASONS, f"{min(wanted)} steps are more than the longest series has, {longest}")
    lengths = tuple(float(each) for each in wanted) or seasons_of(panel.grid, values)
    whole = tuple(dict.fromkeys(round(each) for each in lengths))
    return replace(panel, season_lengths=whole, long_seasons=tuple(lengths))


def _title(label: tuple[str, ...]) -> str:
    return " ".join(label)


def _bad(field: str, description: str) -> InvalidFieldError:
    return InvalidFieldError(field, description, reason="BAD_SERIES")
