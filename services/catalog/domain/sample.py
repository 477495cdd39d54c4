"""A uniform sample of the rows, in bounded memory: what histograms and estimates come from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.data.schema import HISTOGRAM_BINS, MAX_TOP_VALUES, ValueCount

MAX_ROWS = 1 << 18
MAX_BYTES = 16 * 1024 * 1024
MAX_TOP_LENGTH = 100
_PERCENTILES = 21


class RowSample:
    """Rows chosen by a hash of their number, so that equal data has an equal sample.

    Each time it grows too large, half of it goes (adaptive sampling; Flajolet, 1990).
    """

    def __init__(self) -> None:
        """Begins with no rows."""
        self._level = 0
        self._seen = 0
        self._chunks: list[pa.RecordBatch] = []
        self._levels: list[npt.NDArray[np.uint8]] = []
        self._bytes = 0
        self._rows = 0

    @property
    def scale(self) -> float:
        """Rows of the data for each row of the sample."""
        return self._seen / max(self._rows, 1)

    def update(self, batch: pa.RecordBatch) -> None:
        """Adds the rows that follow."""
        levels = _levels(self._seen, batch.num_rows)
        self._seen += batch.num_rows
        self._add(batch, levels)
        while self._rows > MAX_ROWS or (self._bytes > MAX_BYTES and self._rows > 1):
            self._level += 1
            chunks, kept = self._chunks, self._levels
            self._chunks, self._levels, self._bytes, self._rows = [], [], 0, 0
            for chunk, each in zip(chunks, kept, strict=True):
                self._add(chunk, each)

    def column(self, name: str) -> pa.Array:
        """Returns a column of the sample."""
        chunks = [_plain(chunk.column(name)) for chunk in self._chunks]
        return pa.chunked_array(chunks).combine_chunks()

    def _add(self, batch: pa.RecordBatch, levels: npt.NDArray[np.uint8]) -> None:
        if self._level:
            chosen = np.flatnonzero(levels >= self._level)
            batch, levels = batch.take(pa.array(chosen)), levels[chosen]
        self._chunks.append(batch)
        self._levels.append(levels)
        self._bytes += batch.nbytes
        self._rows += batch.num_rows


@dataclass(frozen=True)
class Distribution:
    """What a sample tells of the numbers in a column.

    Attributes:
        histogram: Counts of equal widths, scaled up to all rows.
        percentiles: The 0th, 5th, ..., 100th.
        distinct: Estimated number of distinct values in all rows.
    """

    histogram: tuple[int, ...] = ()
    percentiles: tuple[float, ...] = ()
    distinct: int = 0


def distribution(values: pa.Array, low: float, high: float, scale: float) -> Distribution:
    """Describes numbers.

    Args:
        values: The sample's values, with nulls.
        low: Smallest of all values.
        high: Largest of all values.
        scale: Rows of the data for each row of the sample.
    """
    numbers = pc.drop_null(values).cast(pa.float64(), safe=False).to_numpy()
    numbers = np.sort(numbers[np.isfinite(numbers)])
    if not len(numbers):
        return Distribution()
    # Halves, for the span of the largest doubles is none of them.
    edges = 2 * np.linspace(low / 2, high / 2, HISTOGRAM_BINS + 1)
    ends = np.searchsorted(numbers, edges[1:-1], "left")
    counts = np.diff(ends, prepend=0, append=len(numbers))
    places = np.linspace(0, len(numbers) - 1, _PERCENTILES)
    below = numbers[np.floor(places).astype(int)]
    above = numbers[np.ceil(places).astype(int)]
    share = places - np.floor(places)
    # Weighted, for the difference of the largest doubles is none; clipped, for weights round.
    percentiles = np.clip(below * (1 - share) + above * share, below, above)
    percentiles[0], percentiles[-1] = low, high
    bounds = np.flatnonzero(np.diff(numbers, prepend=-np.inf))
    runs = np.diff(bounds, append=len(numbers))
    return Distribution(
        tuple(round(count * scale) for count in counts.tolist()),
        tuple(percentiles.tolist()),
        estimate_distinct(runs, scale),
    )


def estimate_distinct(counts: npt.NDArray[np.int64], scale: float) -> int:
    """Estimates distinct values by the first-order jackknife (Haas et al., 1995).

    Args:
        counts: How often each value that was seen occurs in the sample.
        scale: Rows of the data for each row of the sample.
    """
    rows = int(counts.sum())
    if not rows:
        return 0
    once = int(np.count_nonzero(counts == 1))
    return round(len(counts) / (1 - (1 - 1 / scale) * once / rows))


def distinct_values(values: pa.Array, scale: float) -> int:
    """Returns the estimated number of distinct values."""
    counted = pc.value_counts(pc.drop_null(values))
    return estimate_distinct(counted.field("counts").to_numpy(), scale)


def frequent(texts: pa.Array, scale: float) -> tuple[tuple[ValueCount, ...], int]:
    """Returns the most frequent texts and the estimated number of distinct ones."""
    counted = pc.value_counts(pc.drop_null(texts))
    counts = counted.field("counts").to_numpy()
    first = np.lexsort((np.arange(len(counts)), -counts))[:MAX_TOP_VALUES]
    values = counted.field("values").take(pa.array(first)).to_pylist()
    pairs = zip(values, counts[first].tolist(), strict=True)
    tops = tuple(top_value(value, round(count * scale)) for value, count in pairs)
    return tops, estimate_distinct(counts, scale)


def top_value(text: str, count: int) -> ValueCount:
    """Returns an entry of the list of frequent values."""
    return ValueCount(text[:MAX_TOP_LENGTH], count)


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _levels(first: int, rows: int) -> npt.NDArray[np.uint8]:
    """Returns a level of each row: half of the rows have 1 and above, a quarter 2 and above, ...

    Hashes by the finaliser of SplitMix64 (Steele et al., 2014).
    """
    bits = np.arange(first + 1, first + rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    # The exponent of a number drawn evenly from (0, 1) says how often it can be doubled.
    _, exponents = np.frexp((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)
    return np.where(bits >> np.uint64(11) == 0, 63, -exponents).astype(np.uint8)
