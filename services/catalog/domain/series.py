"""Time series in long format: one row for each series and point in time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from common.data.schema import TimeSeries
from common.errors import InvalidFieldError
from services.catalog.domain import fields
from services.catalog.domain.inference import ImportPlan
from services.catalog.domain.sources.base import Source
from services.catalog.domain.sources.tables import connected, sql_text
from services.catalog.domain.spec import TimeSeriesSpec

_USUAL = 0.9  # share of the steps that must be alike for a frequency
_MICROSECONDS = {
    "W": 604_800_000_000,
    "D": 86_400_000_000,
    "h": 3_600_000_000,
    "min": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_MONTHS = {1: "M", 3: "Q", 12: "Y"}
_SCHEMA = pa.schema([("series", pa.string()), ("time", pa.timestamp("us"))])
# Steps in months count where both ends are the first, or both the last, day of a month.
_STEPS = """
    SELECT step, months, is_first, is_weekday, count(*) AS rows, sum(count(*)) OVER () FROM (
      SELECT epoch_us(time) - epoch_us(before) AS step,
        CASE WHEN day(time) = 1 AND day(before) = 1 OR time::DATE = last_day(time)
          AND before::DATE = last_day(before) THEN datediff('month', before, time) END AS months,
        day(time) = 1 AS is_first,
        isodow(before) = 5 AND isodow(time) = 1 AS is_weekday
      FROM (SELECT time, lag(time) OVER (PARTITION BY series ORDER BY time) AS before FROM {table})
      WHERE before IS NOT NULL)
    GROUP BY ALL ORDER BY rows DESC, step LIMIT 100"""

Step = tuple[int, int | None, bool, bool, int]


def with_series(
    plan: ImportPlan,
    source: Source,
    asked: TimeSeriesSpec,
    scratch: Path,
    watch: Callable[[], None],
) -> ImportPlan:
    """Checks the points in time of each series and finds their frequency.

    Takes a pass over two columns; what does not fit into memory goes to disk.

    Args:
        plan: The plan, with the time column among its columns.
        source: The rows.
        asked: Which columns are what.
        scratch: Directory for intermediate files.
        watch: Called now and then; may raise to stop.

    Raises:
        InvalidFieldError: A point in time is there twice in a series.
    """
    path = scratch / "series.parquet"
    _write_points(plan, source, asked, path, watch)
    try:
        with connected(scratch) as connection:
            table = f"read_parquet({sql_text(str(path))})"
            _refuse_repeated(connection, table, asked)
            count = connection.execute(f"SELECT count(DISTINCT series) FROM {table}").fetchall()
            steps = connection.execute(_STEPS.format(table=table)).fetchall()
    finally:
        path.unlink()
    found = TimeSeries(
        asked.time_column,
        asked.series_column,
        tuple(asked.covariates) or _columns_left(plan, asked),
        find_frequency([step[:-1] for step in steps], steps[0][-1] if steps else 0),
        int(count[0][0]),
    )
    return replace(plan, schema=replace(plan.schema, time_series=found))


def _columns_left(plan: ImportPlan, asked: TimeSeriesSpec) -> tuple[str, ...]:
    roles = {plan.schema.target, asked.time_column, asked.series_column}
    return tuple(each.column.name for each in plan.columns if each.column.name not in roles)


def find_frequency(steps: list[Step], total: int) -> str:
    """Returns the usual step as pandas writes it; empty where the steps vary.

    Args:
        steps: The most frequent ones: length in microseconds, in months (or None), whether it ends
            on the first of a month, whether it leads from a Friday to a Monday; and how often it
            occurs.
        total: How often all steps occur.
    """
    if not total:
        return ""
    months: dict[int, int] = {}
    for _, count, _, _, rows in steps:
        if count:
            months[count] = months.get(count, 0) + rows
    usual = max(months, key=lambda count: months[count], default=0)
    if months and months[usual] >= _USUAL * total:
        first = sum(rows for *_, is_first, _, rows in steps if is_first) >= total / 2
        return _month_name(usual, "S" if first else "E")
    lengths: dict[int, int] = {}
    for length, *_, rows in steps:
        lengths[length] = lengths.get(length, 0) + rows
    length = max(lengths, key=lambda each: lengths[each])
    if lengths[length] >= _USUAL * total:
        return _length_name(length)
    day = _MICROSECONDS["D"]
    weekend = sum(rows for step, *_, is_weekday, rows in steps if step == 3 * day and is_weekday)
    return "B" if lengths.get(day, 0) + weekend >= _USUAL * total and weekend else ""


def _month_name(months: int, end: str) -> str:
    for count, letter in sorted(_MONTHS.items(), reverse=True):
        if months % count == 0:
            number = months // count
            return f"{number if number > 1 else ''}{letter}{end}"
    raise AssertionError("every number of months is a multiple of one")


def _length_name(length: int) -> str:
    for name, size in _MICROSECONDS.items():
        if length % size == 0:
            number = length // size
            return f"{number if number > 1 else ''}{name}"
    raise AssertionError("every length is a multiple of a microsecond")


def _write_points(
    plan: ImportPlan,
    source: Source,
    asked: TimeSeriesSpec,
    path: Path,
    watch: Callable[[], None],
) -> None:
    plans = {each.column.name: each for each in plan.columns}
    names = [name for name in (asked.time_column, asked.series_column) if name]
    with pq.ParquetWriter(path, _SCHEMA) as writer:
        for batch in source.batches(names):
            time, *series = (
                plans[name].encode(values)
                for name, values in zip(names, batch.columns, strict=True)
            )
            ids = series[0].cast(pa.string()) if series else pa.array([""] * len(time))
            writer.write_batch(pa.RecordBatch.from_arrays([ids, time], schema=_SCHEMA))
            watch()


def _refuse_repeated(
    connection: duckdb.DuckDBPyConnection, table: str, asked: TimeSeriesSpec
) -> None:
    found = connection.execute(
        f"SELECT series, time, count(*) FROM {table} GROUP BY ALL HAVING count(*) > 1 "
        "ORDER BY series, time LIMIT 1"
    ).fetchall()
    for series, time, count in found:
        where = f"series `{series[:40]}` has" if asked.series_column else "there are"
        cure = "name the column that tells the series apart" if not asked.series_column else ""
        raise InvalidFieldError(
            f"{fields.TIME_SERIES}.time_column",
            f"{where} {count} rows for {time.isoformat()}; keep one of them"
            + (f", or {cure}" if cure else ""),
            reason="REPEATED_TIME",
        )
