"""From rows of a data set version to the series that are to be forecast."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from aimass.catalog.v1 import dataset_pb2
from common.artifacts import ObjectStore
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns
from common.data.rows import RawRows, concatenated
from common.data.schema import Column, ColumnType, Part, Schema
from common.errors import FailedPreconditionError, InvalidFieldError
from common.models.sample_rows import values_of
from services.tuner.domain.forecasting.panel import Panel, shortened
from services.tuner.domain.forecasting.reading import read_panel
from services.tuner.domain.specification import ForecastSpecification, TuningSpecification
from services.tuner.splits import temporal_column

_NOT_READ = frozenset({ColumnType.IMAGE, ColumnType.EMBEDDING})


@dataclass(frozen=True)
class LoadedSeries:
    """What a search for forecasts works with.

    Attributes:
        whole: All that is known, which the final model goes on from.
        learned: The same without the steps that are left for the test score.
        warnings: What is odd about the data, one sentence each.
        notes: What is tested on, a sentence.
    """

    whole: Panel
    learned: Panel
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def load_series(
    specification: TuningSpecification,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    check: Callable[[], None],
) -> LoadedSeries:
    """Reads what a search for forecasts works with.

    Args:
        specification: Resolved, of forecasts.
        version: The data.
        store: Where its shards are.
        check: Called for each shard; may raise to stop.

    Raises:
        FailedPreconditionError: Nothing can be learned from the rows; says why.
    """
    asked = specification.forecast
    assert asked is not None, "the specification is not resolved"
    schema = schema_from_proto(version.schema)
    columns = _columns(schema, specification, asked)
    raw, is_test = _read(version, columns, store, check)
    frame = frame_of_series(raw, columns, asked.time_column)
    try:
        whole = read_panel(
            frame,
            specification.targets[0],
            asked.time_column,
            asked.series_columns,
            horizon=asked.horizon or 1,
            known=asked.known_columns,
            season_lengths=asked.season_lengths,
            types={each.name: each.type for each in columns},
        )
    except InvalidFieldError as error:
        raise _unfit(f"{version.name}: {error.violations[0].description}") from error
    learned, told = _parted(whole, frame, is_test, temporal_column(version))
    if not learned.series:
        raise _unfit(f"{version.name} has no series that begins before {told}")
    return LoadedSeries(whole, learned, whole.notes, (f"The test score is of {told}.",))


def frame_of_series(raw: RawRows, columns: Sequence[Column], time: str) -> pd.DataFrame:
    """Returns rows as panels are read from: times as such, or as whole numbers.

    Args:
        raw: The rows.
        columns: What they are.
        time: Name of the column of times.
    """
    found: dict[str, pd.Series[Any]] = {}
    for each in columns:
        values = raw.columns[each.name]
        if each.name == time and each.type is ColumnType.TIMESTAMP:
            found[each.name] = pd.Series(values.astype("datetime64[us]"))
        else:
            taken = values_of(each, values)
            found[each.name] = pd.Series(taken, dtype=taken.dtype)
    return pd.DataFrame(found)


def _columns(
    schema: Schema, specification: TuningSpecification, asked: ForecastSpecification
) -> list[Column]:
    named = {*specification.targets, asked.time_column, *asked.series_columns, *asked.known_columns}
    return [
        each
        for each in schema.columns
        if each.name in named
        or (each.name not in specification.left_out and each.type not in _NOT_READ)
    ]


def _read(
    version: dataset_pb2.DatasetVersion,
    columns: Sequence[Column],
    store: ObjectStore,
    check: Callable[[], None],
) -> tuple[RawRows, npt.NDArray[np.bool_]]:
    """Returns all rows, and which of them are test rows."""
    pieces, tests = [], []
    for batch in stream_columns(version, store, [each.name for each in columns]):
        check()
        pieces.append(RawRows(batch.columns))
        tests.append(batch.parts == Part.TEST)
    if not pieces:
        raise _unfit(f"{version.name} has no rows")
    return concatenated(pieces), np.concatenate(tests)


def _parted(
    whole: Panel, frame: pd.DataFrame, is_test: npt.NDArray[np.bool_], split_by: str
) -> tuple[Panel, str]:
    """Returns what is learned from, and what is tested on, in words."""
    if split_by != whole.time or not is_test.any():
        steps = f"the last {whole.horizon:,} steps of each series"
        return shortened(whole, whole.horizon), f"{steps}: the data set has no later test rows"
    times = whole.names.times(frame[is_test])
    first = int(whole.grid.steps(times).min())
    moment = str(whole.grid.moments(np.array([first]))[0])
    begin = moment.removesuffix("T00:00:00.000000").removesuffix(".000000")
    return _until(whole, first), f"the data set's test rows, from {begin} on"


def _until(panel: Panel, step: int) -> Panel:
    """Returns the panel with the values before a step; series without any go."""
    kept = []
    for each in panel.series:
        known = np.flatnonzero(~np.isnan(each.values[: max(step - each.start, 0)]))
        if len(known):
            kept.append(replace(each, values=each.values[: known[-1] + 1]))
    return replace(panel, series=tuple(kept))


def _unfit(problem: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"Nothing can be forecast: {problem}.", reason="DATA_CANNOT_BE_LEARNED"
    )
