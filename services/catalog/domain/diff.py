"""What differs between two versions, from their statistics alone."""

import math
from collections.abc import Sequence

from aimass.catalog.v1 import dataset_pb2

# Usual thresholds for the population stability index (Siddiqi, Credit Risk Scorecards, 2006).
_MUCH = 0.25
# A share of 0 would make the index infinite.
_LEAST_SHARE = 1e-4
_MAX_CATEGORIES = 20
_CODED = (
    dataset_pb2.COLUMN_TYPE_CATEGORICAL,
    dataset_pb2.COLUMN_TYPE_BOOLEAN,
    dataset_pb2.COLUMN_TYPE_TEXT,
)

Version = dataset_pb2.DatasetVersion
Column = dataset_pb2.ColumnSchema


def diff_versions(base: Version, version: Version) -> dataset_pb2.DiffDatasetVersionsResponse:
    """Compares two versions.

    Args:
        base: The older one.
        version: The newer one.
    """
    before = {column.name: column for column in base.schema.columns}
    now = {column.name: column for column in version.schema.columns}
    columns = [
        _diff_column(before[name], column, base.row_count, version.row_count)
        if name in before
        else _added(column, version.row_count)
        for name, column in now.items()
    ]
    removed = (column for name, column in before.items() if name not in now)
    return dataset_pb2.DiffDatasetVersionsResponse(
        columns=[*columns, *(_removed(column, base.row_count) for column in removed)],
        base_row_count=base.row_count,
        row_count=version.row_count,
        identical=base.digest == version.digest,
    )


def population_stability_index(before: Sequence[float], now: Sequence[float]) -> float:
    """Returns how far shares moved (Siddiqi, Credit Risk Scorecards, 2006).

    Args:
        before: Shares of the bins, which sum to 1.
        now: Shares of the same bins.
    """
    total = 0.0
    for old, new in zip(before, now, strict=True):
        p, q = max(old, _LEAST_SHARE), max(new, _LEAST_SHARE)
        total += (q - p) * math.log(q / p)
    return total


def wasserstein_distance(before: Sequence[float], now: Sequence[float]) -> float:
    """Returns the area between two quantile functions, linear between the values given.

    Args:
        before: Quantiles at equal steps from 0 to 1, two or more.
        now: As many quantiles of the other distribution.
    """
    gaps = [new - old for old, new in zip(before, now, strict=True)]
    return sum(map(_area, gaps, gaps[1:])) / (len(gaps) - 1)


def _area(left: float, right: float) -> float:
    """Returns the mean of |x| on a line from one value to another."""
    if left * right >= 0:
        return abs(left + right) / 2
    # Divided first: squares of the largest doubles are infinite.
    span = abs(left) + abs(right)
    return (abs(left) * (abs(left) / span) + abs(right) * (abs(right) / span)) / 2


def _diff_column(base: Column, column: Column, rows: int, new_rows: int) -> dataset_pb2.ColumnDiff:
    kept = base.type == column.type
    diff = dataset_pb2.ColumnDiff(
        name=column.name,
        change=dataset_pb2.COLUMN_CHANGE_KEPT if kept else dataset_pb2.COLUMN_CHANGE_RETYPED,
        base_type=base.type,
        type=column.type,
        base_missing_share=_share(base.missing_count, rows),
        missing_share=_share(column.missing_count, new_rows),
    )
    if kept and column.type in _CODED:
        _compare_values(diff, base, column, rows, new_rows)
    elif kept:
        _compare_quantiles(diff, base, column)
    diff.drifted = diff.psi > _MUCH or diff.wasserstein > _MUCH
    return diff


def _compare_values(
    diff: dataset_pb2.ColumnDiff, base: Column, column: Column, rows: int, new_rows: int
) -> None:
    old, new = set(base.categories), set(column.categories)
    diff.new_categories.extend(sorted(new - old)[:_MAX_CATEGORIES])
    diff.gone_categories.extend(sorted(old - new)[:_MAX_CATEGORIES])
    if not base.top_values or not column.top_values:
        return
    before, now = _counts(base), _counts(column)
    complete = len(before) == base.distinct_count, len(now) == column.distinct_count
    # A value that is not among the most frequent ones has an unknown count: it is in the rest.
    bins = [
        value
        for value in dict.fromkeys([*before, *now])
        if (value in before or complete[0]) and (value in now or complete[1])
    ]
    diff.psi = population_stability_index(
        _shares(before, bins, rows - base.missing_count),
        _shares(now, bins, new_rows - column.missing_count),
    )


def _counts(column: Column) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in column.top_values:  # long texts are cut, and may be equal then
        counts[each.value] = counts.get(each.value, 0) + each.count
    return counts


def _shares(counts: dict[str, int], bins: Sequence[str], total: int) -> list[float]:
    """Returns the share of each bin, and of the rest."""
    shares = [_share(counts.get(value, 0), total) for value in bins]
    return [*shares, max(0.0, 1 - sum(shares))]


def _compare_quantiles(diff: dataset_pb2.ColumnDiff, base: Column, column: Column) -> None:
    before, now = _quantiles(base), _quantiles(column)
    if before and len(before) == len(now):
        distance = wasserstein_distance(before, now)
        diff.wasserstein = distance / (_stddev(base) or _stddev(column) or 1.0)


def _quantiles(column: Column) -> list[float]:
    if column.HasField("time_range"):
        span = column.time_range
        return [span.min.ToMicroseconds() / 1e6, span.max.ToMicroseconds() / 1e6]
    return list(column.numeric.percentiles)


def _stddev(column: Column) -> float:
    if column.HasField("time_range"):
        first, last = _quantiles(column)
        return (last - first) / math.sqrt(12)  # as if the times were spread evenly
    return column.numeric.stddev


def _added(column: Column, rows: int) -> dataset_pb2.ColumnDiff:
    return dataset_pb2.ColumnDiff(
        name=column.name,
        change=dataset_pb2.COLUMN_CHANGE_ADDED,
        type=column.type,
        missing_share=_share(column.missing_count, rows),
    )


def _removed(column: Column, rows: int) -> dataset_pb2.ColumnDiff:
    return dataset_pb2.ColumnDiff(
        name=column.name,
        change=dataset_pb2.COLUMN_CHANGE_REMOVED,
        base_type=column.type,
        base_missing_share=_share(column.missing_count, rows),
    )


def _share(count: int, total: int) -> float:
    return count / total if total else 0.0
