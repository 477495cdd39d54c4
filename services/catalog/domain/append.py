"""A version that adds rows to an older one: the shards of both, and what is known of both."""

import bisect
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import (
    HISTOGRAM_BINS,
    MAX_CATEGORIES,
    MAX_TOP_VALUES,
)
from common.protobuf import enum_short_name
from services.catalog.domain import fields
from services.catalog.domain.labels import sorted_labels

Version = dataset_pb2.DatasetVersion
Column = dataset_pb2.ColumnSchema
Numeric = dataset_pb2.NumericStatistics
Wide = list[np.longdouble]

_QUANTILES = 21
_STATISTICS: tuple[Literal["numeric", "text_length"], ...] = ("numeric", "text_length")


def check_columns(names: Sequence[str], base: Version) -> None:
    """Checks that a file has the columns of the version to append to, in any order.

    Raises:
        InvalidFieldError: Names the columns that are missing or new.
    """
    expected = [column.name for column in base.schema.columns]
    missing = [name for name in expected if name not in names]
    new = [name for name in names if name not in expected]
    if missing or new:
        told = [f"lacks {fields.listed(missing)}"] if missing else []
        told += [f"has {fields.listed(new)} besides"] if new else []
        raise fields.bad_file(
            f"the file {' and '.join(told)}; {base.name} has the columns {fields.listed(expected)}",
            "OTHER_COLUMNS",
        )


def appended(base: Version, piece: Version) -> Version:
    """Returns a version of the rows of one and, after them, those of another.

    Nothing is copied: the shards of both are named. Categories are those of either.

    Args:
        base: The version to append to.
        piece: The new rows, as a version of their own.

    Raises:
        InvalidFieldError: A column has another type.
    """
    whole = Version()
    whole.CopyFrom(piece)
    del whole.shards[:]
    whole.shards.extend([*base.shards, *piece.shards])
    whole.base_version = base.name
    whole.digest = hashlib.sha256(f"{base.digest} {piece.digest}".encode()).hexdigest()
    whole.row_count += base.row_count
    whole.size_bytes += base.size_bytes
    for part in ("train", "validation", "test"):
        count = getattr(base.split_counts, part) + getattr(piece.split_counts, part)
        setattr(whole.split_counts, part, count)
    whole.lineage.inputs.append(base.name)
    _merge_schema(whole, base, piece)
    return whole


def grown_from(version: Version, base: Version) -> bool:
    """Returns whether a version has the rows of another, and perhaps others appended to them."""
    return list(version.shards[: len(base.shards)]) == list(base.shards)


def _merge_schema(whole: Version, base: Version, piece: Version) -> None:
    new = {column.name: column for column in piece.schema.columns}
    whole.schema.CopyFrom(base.schema)
    if base.schema.HasField("time_series"):
        _merge_series(whole.schema.time_series, base, piece)
    del whole.schema.columns[:]
    for column in base.schema.columns:
        other = new[column.name]
        if (column.type, list(column.shape)) != (other.type, list(other.shape)):
            raise fields.bad_file(
                f"column `{column.name}` is {_words(other)} where {base.name} has "
                f"{_words(column)}; give it the same type",
                "OTHER_COLUMNS",
            )
        counts = base.row_count - column.missing_count, piece.row_count - other.missing_count
        whole.schema.columns.append(_merge_column(column, other, counts))


def _merge_series(series: dataset_pb2.TimeSeries, base: Version, piece: Version) -> None:
    pieces = [(each.row_count, each.schema.time_series) for each in (base, piece)]
    # How many series are in both is not known: this is the least there can be.
    series.series_count = max(each.series_count for _, each in pieces)
    # A piece with one row for each series has no steps, and nothing to say.
    frequencies = {each.frequency for rows, each in pieces if rows > each.series_count}
    series.frequency = frequencies.pop() if len(frequencies) == 1 else ""


def _words(column: Column) -> str:
    word = enum_short_name(dataset_pb2.ColumnType.DESCRIPTOR, column.type)
    shape = " x ".join(str(side) for side in column.shape)
    return f"{word} {shape}".strip()


def _merge_column(base: Column, new: Column, counts: tuple[int, int]) -> Column:
    """Merges what is known of a column; `counts` are the rows that have a value."""
    column = Column(name=base.name, type=base.type, shape=base.shape)
    column.missing_count = base.missing_count + new.missing_count
    column.categories.extend(sorted_labels([*base.categories, *new.categories]))
    if len(column.categories) > MAX_CATEGORIES:
        raise fields.bad_file(
            f"column `{base.name}` would have {len(column.categories)} labels with the new ones; "
            f"at most {MAX_CATEGORIES} are possible; import all rows anew, as text",
            "TOO_MANY_CATEGORIES",
        )
    top: Counter[str] = Counter()
    for each in (*base.top_values, *new.top_values):
        top[each.value] += each.count
    known = max(base.distinct_count, new.distinct_count, len(top))
    column.distinct_count = len(column.categories) or known  # the least it can be
    for value, count in top.most_common(MAX_TOP_VALUES):
        column.top_values.add(value=value, count=count)
    _merge_numbers(column, base, new, counts)
    if base.HasField("time_range") or new.HasField("time_range"):
        spans = [each.time_range for each in (base, new) if each.HasField("time_range")]
        column.time_range.min.CopyFrom(min((s.min for s in spans), key=lambda t: t.ToNanoseconds()))
        column.time_range.max.CopyFrom(max((s.max for s in spans), key=lambda t: t.ToNanoseconds()))
    return column


def _merge_numbers(column: Column, base: Column, new: Column, counts: tuple[int, int]) -> None:
    """Merges the statistics of numbers, and of the lengths of texts."""
    for field in _STATISTICS:
        known = [getattr(each, field) for each in (base, new) if each.HasField(field)]
        if len(known) == 1:
            getattr(column, field).CopyFrom(known[0])
        elif known:
            getattr(column, field).CopyFrom(merge_statistics(known[0], known[1], counts))


def merge_statistics(base: Numeric, new: Numeric, counts: tuple[int, int]) -> Numeric:
    """Returns the statistics of two groups of numbers together.

    Smallest, largest, mean and standard deviation are exact (Chan et al., 1979); percentiles and
    histogram are as exact as those of the groups allow.

    Args:
        base: Statistics of one group.
        new: Statistics of the other.
        counts: Their sizes.
    """
    total = max(1, sum(counts))
    weights = [count / total for count in counts]
    # Squares and spans of the largest doubles need a wider exponent.
    means = _wide([base.mean, new.mean])
    deviations = _wide([base.stddev, new.stddev])
    shift = means[1] - means[0]
    variance = weights[0] * deviations[0] ** 2 + weights[1] * deviations[1] ** 2
    merged = Numeric(
        min=min(base.min, new.min),
        max=max(base.max, new.max),
        mean=float(means[0] + shift * weights[1]),
        stddev=float(np.sqrt(variance + weights[0] * weights[1] * shift**2)),
    )
    if base.percentiles and new.percentiles:
        pair = _wide(base.percentiles), _wide(new.percentiles)
        steps = [index / (_QUANTILES - 1) for index in range(_QUANTILES)]
        merged.percentiles.extend(_quantile(pair, weights, step) for step in steps)
    if base.histogram and new.histogram:
        merged.histogram.extend(_rebin([base, new], *_wide([merged.min, merged.max])))
    return merged


def _wide(numbers: Iterable[float]) -> Wide:
    return [np.longdouble(number) for number in numbers]


def _quantile(pair: tuple[Wide, Wide], weights: Sequence[float], share: float) -> float:
    """Returns where the mixture of two distributions reaches a share, by bisection."""
    low, high = min(each[0] for each in pair), max(each[-1] for each in pair)
    if share in (0.0, 1.0):
        return float(high if share else low)
    for _ in range(60):
        middle = low + (high - low) / 2
        reached = sum(
            weight * _share_below(each, middle) for each, weight in zip(pair, weights, strict=True)
        )
        low, high = (middle, high) if reached < share else (low, middle)
    return float(high)


def _share_below(percentiles: Wide, value: np.longdouble) -> float:
    """Returns the share of a distribution up to a value, linear between its percentiles."""
    last = len(percentiles) - 1
    right = bisect.bisect_right(percentiles, value)
    if right == 0:
        return 0.0
    if right > last:
        return 1.0
    left, width = percentiles[right - 1], percentiles[right] - percentiles[right - 1]
    return float(right - 1 + (value - left) / width) / last


def _rebin(parts: Sequence[Numeric], low: np.longdouble, high: np.longdouble) -> list[int]:
    """Returns the counts of several histograms over one range, by the middles of their bins."""
    counts = [0] * HISTOGRAM_BINS
    for part in parts:
        least, most = _wide([part.min, part.max])
        width = (most - least) / len(part.histogram)
        for index, count in enumerate(part.histogram):
            middle = least + (index + 0.5) * width
            place = float((middle - low) / (high - low)) if high > low else 0.0
            counts[min(int(place * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += count
    return counts
