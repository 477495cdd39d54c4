"""Learns from rows how columns are to be prepared."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import scipy.linalg
from pydantic import BaseModel, ConfigDict

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import UnfitError
from services.outlier.domain.preparation.columns import (
    MISSING_TIME,
    LabelColumn,
    NumberColumn,
    Scale,
    TimeColumn,
    VectorColumn,
    flattened,
)
from services.outlier.domain.preparation.preparation import Preparation, Prepared
from services.outlier.domain.preparation.texts import (
    BUCKETS,
    TextColumn,
    buckets_of,
    mean_rarity,
    shapes_of,
    topics_of,
)

_BINS = 8
_QUARTILES = (0.25, 0.5, 0.75)
_OWN_LABELS = 10
_CODED_LABELS = 30
_MOST_DIRECTIONS = 32
_TOPICS = 8
_NORMAL_IQR = 1.349  # interquartile range of the standard normal distribution
# The standard deviation of the normal distribution is 1 in these units, of Student's with three
# degrees of freedom 1.5.
_HEAVY = 1.5
_DAY = 86_400_000_000
_ROUNDING = 1e-5
_LEAST_SIZE = 1e-5  # of a direction, beside the largest
_SMALLEST = 4 * float(np.finfo(np.float64).tiny)  # half of it is still a normal number


class Scaling(StrEnum):
    """How numbers are scaled, named as in `aimass.outlier.v1.Scaling`."""

    AUTO = "auto"
    STANDARD = "standard"
    ROBUST = "robust"


class PreparationOptions(BaseModel):
    """How columns are prepared.

    Attributes:
        scaling: STANDARD has zero mean and unit variance; ROBUST has zero median, the spread that
            the quartiles tell, and compressed tails; AUTO takes that for heavy tails.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scaling: Scaling = Scaling.AUTO


def prepare(
    raw: RawRows, columns: Sequence[Column], options: PreparationOptions | None = None
) -> Preparation:
    """Learns how to prepare columns.

    Args:
        raw: Rows to learn from, at least two.
        columns: What the columns are.
        options: How; None for the defaults.

    Raises:
        UnfitError: No column says anything.
    """
    scaling = (options or PreparationOptions()).scaling
    found, dropped = [], []
    for column in columns:
        prepared = _FITS[column.type](column.name, raw, scaling)
        if prepared is None:
            dropped.append(column.name)
        else:
            found.append(prepared)
    if not found:
        raise UnfitError(
            "in every column all rows have the same value, or none; there is nothing to tell rows "
            "apart by"
        )
    return Preparation(tuple(found), tuple(dropped))


def _fit_numbers(name: str, raw: RawRows, scaling: Scaling) -> Prepared | None:
    numbers = raw.columns[name].astype(np.float64)
    gaps = np.isnan(numbers)
    present = numbers[np.isfinite(numbers)]
    scale = _scale(present, scaling)
    missing = _scale(gaps.astype(np.float64), Scaling.STANDARD)
    given = numbers[~gaps]
    # Infinite ones have no scale, but they are far from all others.
    if scale is None and missing is None and not (given != given[:1]).any():
        return None
    is_single = raw.columns[name].dtype == np.float32
    scale = scale or Scale(_first(present), 1.0)
    return NumberColumn(name, scale, _edges(present), missing, is_single)


def _fit_labels(name: str, raw: RawRows, scaling: Scaling) -> Prepared | None:
    codes = raw.columns[name].astype(np.int64)
    labels = raw.labels[name]
    counts = np.bincount(codes[codes >= 0], minlength=len(labels))
    order = [code for code in np.argsort(-counts, kind="stable").tolist() if counts[code]]
    missing = int((codes < 0).sum())
    if len(order) + bool(missing) < 2:
        return None
    # Half a row: what was never seen is rarer than anything that was.
    seen = np.array([max(missing, 0.5), *(counts[code] for code in order)], np.float64)
    rarity = -np.log(seen / len(codes))
    shares = seen[1:] / len(codes)
    scale = _scale(rarity[np.repeat(np.arange(len(seen)), seen.astype(np.int64))], scaling)
    return LabelColumn(
        name,
        tuple(labels[code] for code in order),
        (scale or Scale(float(rarity[1:].mean()), 1.0)).apply(rarity),
        shares if len(order) <= _OWN_LABELS else shares[:0],
        min(len(order), _CODED_LABELS),
    )


def _fit_times(name: str, raw: RawRows, scaling: Scaling) -> Prepared | None:
    times = raw.columns[name].astype(np.int64)
    present = times[times != MISSING_TIME].astype(np.float64)
    scale = _scale(present, scaling)
    if scale is None:
        return None
    span = float(np.ptp(present))
    # Dates without a time of day say nothing of it.
    has_day = span > 2 * _DAY and bool((np.mod(present, _DAY) != 0).any())
    return TimeColumn(name, scale, _edges(present), has_day, span > 14 * _DAY)


def _fit_vectors(name: str, raw: RawRows, scaling: Scaling) -> Prepared | None:
    values = raw.columns[name]
    given = values.reshape(len(values), -1)
    whole = flattened(given[np.isfinite(given).all(axis=1)])
    if len(whole) < 2 or not (whole != whole[0]).any():
        return None
    mean = whole.mean(axis=0)
    directions, spread = _main_directions(whole - mean)
    column = VectorColumn(name, mean, directions, Scale(0.0, 1.0), spread)
    left = column.measures(whole)[:, -1]
    # Where the directions hold everything, what is left over is the rounding of the arithmetic.
    residual = _scale(left, scaling) if left.max() > _ROUNDING * spread else None
    residual = residual or Scale(0.0, spread)
    return VectorColumn(name, mean, directions, residual, spread)


def _main_directions(
    centered: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], float]:
    """Returns the principal directions, shape (directions, length), and the first one's spread."""
    sample = centered[: 4 * 1024]
    sizes, rows = _leading(sample, _MOST_DIRECTIONS)
    spread = float(sizes[0] / np.sqrt(len(sample))) if len(sizes) else 0.0
    return rows, spread or 1.0


def _leading(
    centered: npt.NDArray[np.float64], most: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns the largest singular values, descending, and their right vectors, at most so many.

    Those that are nothing beside the largest are left out.
    """
    unit = float(np.abs(centered).max()) or 1.0
    scaled = centered / unit
    # The smaller of the two products: rows are fewer than numbers in images. A decomposition of
    # all takes five times as long.
    is_wide = scaled.shape[1] > scaled.shape[0]
    product = scaled @ scaled.T if is_wide else scaled.T @ scaled
    count = len(product)
    span = (count - min(most, count), count - 1)
    squares, found = scipy.linalg.eigh(product, subset_by_index=span)
    squares, vectors = squares[::-1], found.T[::-1]
    kept = squares > max(_LEAST_SIZE**2 * squares[0], 0.0)
    sizes, vectors = np.sqrt(squares[kept]), vectors[kept]
    if is_wide:
        vectors = vectors @ scaled / sizes[:, None]
    return sizes * unit, vectors


def _fit_texts(name: str, raw: RawRows, scaling: Scaling) -> Prepared | None:
    texts = raw.columns[name]
    words = [buckets_of(text) for text in texts.tolist()]
    counts = np.bincount(np.concatenate([*words, np.zeros(0, np.int64)]), minlength=BUCKETS)
    rarity = -np.log((counts + 0.5) / (len(texts) + 1))
    shapes = np.column_stack([shapes_of(texts), mean_rarity(words, rarity)])
    scales = [_scale(values, Scaling.STANDARD) for values in shapes.T]
    if not any(scales):
        return None
    first = [Scale(_first(values), 1.0) for values in shapes.T]
    topics, spread = _topics(words, rarity)
    kept = tuple(scale or other for scale, other in zip(scales, first, strict=True))
    return TextColumn(name, kept, rarity, topics, spread)


def _topics(
    words: Sequence[npt.NDArray[np.int64]], rarity: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], float]:
    """Returns the main directions of the words' weights, and the spread of the first."""
    sample = words[:2048]
    weights = np.zeros((len(sample), BUCKETS))
    for row, each in enumerate(sample):
        if len(each):
            weights[row, each] = rarity[each] / (np.sqrt((rarity[each] ** 2).sum()) or 1.0)
    _, topics = _leading(weights - weights.mean(axis=0), _TOPICS)
    spread = float(topics_of(sample, rarity, topics[:1]).std()) if len(topics) else 1.0
    return topics, spread or 1.0


def _scale(values: npt.NDArray[np.float64], scaling: Scaling) -> Scale | None:
    """Returns how numbers without gaps are scaled; None where all are alike."""
    if len(values) == 0 or not (values != values[0]).any():
        return None
    # By the largest, so that squares of very large and very small numbers are numbers.
    unit = float(np.abs(values).max())
    values = np.sort(values / unit)
    # np.quantile takes ten times as long for the few rows of a wide table.
    low, middle, high = np.interp(_QUARTILES, np.linspace(0, 1, len(values)), values)
    deviation = float(values.std())
    robust = float(high - low) / _NORMAL_IQR
    is_heavy = 0 < robust < deviation / _HEAVY
    if robust > 0 and (scaling is Scaling.ROBUST or (scaling is Scaling.AUTO and is_heavy)):
        return Scale(float(middle) * unit, max(robust * unit, _SMALLEST), True)
    return Scale(float(values.mean()) * unit, max(deviation * unit, _SMALLEST))


def _edges(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns inner edges of at most eight bins that hold about as many values each."""
    if len(values) == 0:
        return np.zeros(0)
    ordered = np.sort(values)
    places = np.ceil(np.arange(1, _BINS) / _BINS * (len(values) - 1)).astype(np.int64)
    found = np.unique(ordered[places])
    edges: npt.NDArray[np.float64] = found[found > ordered[0]]
    return edges


def _first(values: npt.NDArray[np.float64]) -> float:
    return float(values[0]) if len(values) else 0.0


_Fit = Callable[[str, RawRows, Scaling], Prepared | None]

_FITS: Mapping[ColumnType, _Fit] = {
    ColumnType.NUMERIC: _fit_numbers,
    ColumnType.CATEGORICAL: _fit_labels,
    ColumnType.BOOLEAN: _fit_labels,
    ColumnType.TEXT: _fit_texts,
    ColumnType.TIMESTAMP: _fit_times,
    ColumnType.IMAGE: _fit_vectors,
    ColumnType.EMBEDDING: _fit_vectors,
}
