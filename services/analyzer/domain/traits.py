"""Traits of rows: what conditions can be on, as few values each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from common.data.schema import Column, ColumnType
from common.reports.text import shortened
from services.analyzer.domain.sample import Sample

BINS = 32
COARSE = 4
"""So many bins make one where two traits are looked at together."""

NO_TIME = np.iinfo(np.int64).min
"""A missing time; see `RawRows`."""

_IMAGES_AT_ONCE = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME_LENGTH = 60
_LARGE = 1e15
_ROUNDING = 8

Codes = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.float64]
Runs = npt.NDArray[np.intp]


def _plain(value: float) -> str:
    return f"{value:,.10g}" if abs(value) < _LARGE else f"{value:.6g}"


def time_text(microseconds: float) -> str:
    """Returns microseconds since 1970 as a date, with the time of day unless it is midnight."""
    try:
        moment = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return _plain(microseconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00").removesuffix(" 00:00")


@dataclass(frozen=True)
class Scale:
    """How numbers of a kind are spoken of.

    Attributes:
        shown: Writes a number.
        below: Stands before a number that others are smaller than.
        starts: Stands before the smallest number.
        rounds: Whether cuts between values are made short; else they are values.
    """

    shown: Callable[[float], str] = _plain
    below: str = "below"
    starts: str = "at least"
    rounds: bool = True


_TIMES = Scale(time_text, "before", "from", rounds=False)


@dataclass(frozen=True)
class Trait:
    """What conditions can be on: each row has one of a few codes.

    Attributes:
        name: What conditions say, for example `age` or `brightness of photo`.
        column: The column that it is of.
        codes: Code of each row, (rows,).
        runs: Conditions on this trait: first and last code, shape (conditions, 2).
        coarse_runs: Fewer conditions, for pairs of traits.
        words: What a condition says of the trait, for example `below 23.5`, by its run.
    """

    name: str
    column: str
    codes: Codes
    runs: Runs
    coarse_runs: Runs
    words: Callable[[int, int], str]

    @property
    def width(self) -> int:
        """Number of codes."""
        return int(self.runs.max(initial=0)) + 2

    def meets(self, run: Sequence[int], codes: Codes | None = None) -> npt.NDArray[np.bool_]:
        """Returns which rows meet a condition."""
        own = self.codes if codes is None else codes
        return np.asarray((own >= run[0]) & (own <= run[1]))

    def condition(self, run: Sequence[int]) -> str:
        """Returns a condition in words."""
        return f"{self.name} {self.words(int(run[0]), int(run[1]))}"


def label_trait(
    name: str, column: str, codes: Values, labels: Sequence[str], least: int
) -> Trait | None:
    """Returns a trait of codes into labels, -1 for missing; None where nothing is common enough.

    Args:
        name: What conditions say.
        column: The column that it is of.
        codes: Of the rows.
        labels: What the codes stand for.
        least: Labels of fewer rows make no condition.
    """
    own = np.asarray(codes, np.intp)
    own = np.where((own < 0) | (own >= len(labels)), len(labels), own)
    counts = np.bincount(own, minlength=len(labels) + 1)
    common = [int(code) for code in np.argsort(-counts, kind="stable")[:BINS]]
    kept = [code for code in common if counts[code] >= least and counts[code] < len(own)]
    if not kept:
        return None
    places = np.full(len(counts), len(kept), np.intp)
    places[kept] = np.arange(len(kept))
    said = ["missing" if code == len(labels) else f"= {shortened(labels[code])}" for code in kept]
    runs = np.repeat(np.arange(len(kept), dtype=np.intp)[:, None], 2, axis=1)
    return Trait(
        _shown(name), column, np.asarray(places[own]), runs, runs, lambda first, _: said[first]
    )


def number_trait(
    name: str, column: str, values: Values, least: int, scale: Scale | None = None
) -> Trait | None:
    """Returns a trait of numbers in bins of about as many rows; None if all are equal.

    Args:
        name: What conditions say.
        column: The column that it is of.
        values: Of the rows, NaN for missing.
        least: Missing values of fewer rows make no condition.
        scale: What the numbers are. Default: just numbers.
    """
    own = np.asarray(values, np.float64)
    missing = np.isnan(own)
    scale = scale or Scale()
    cuts = _cuts(own[~missing], scale)
    bins = len(cuts) + 1
    codes = np.searchsorted(cuts, own, side="right").astype(np.intp)
    codes[missing] = bins
    has_missing = bool(least <= missing.sum() < len(own))
    if bins == 1 and not has_missing:
        return None
    return Trait(
        _shown(name),
        column,
        codes,
        _runs(bins, 1, has_missing),
        _runs(bins, COARSE if bins > BINS // COARSE else 1, has_missing),
        _NumberWords(tuple(cuts.tolist()), scale),
    )


@dataclass(frozen=True)
class _NumberWords:
    """Says what a run of bins means."""

    cuts: tuple[float, ...]
    scale: Scale

    def __call__(self, first: int, last: int) -> str:
        bins = len(self.cuts) + 1
        if first == bins:
            return "missing"
        if first == 0 and last == bins - 1:
            return "present"
        start = self.scale.shown(self.cuts[first - 1]) if first else ""
        end = f"{self.scale.below} {self.scale.shown(self.cuts[last])}" if last < bins - 1 else ""
        if start and end:
            return f"from {start} to {end}"
        return f"{self.scale.starts} {start}" if start else end


def traits_of(sample: Sample, least: int) -> list[Trait]:
    """Returns the traits of a sample's columns.

    Args:
        sample: The rows.
        least: Conditions that fewer rows meet are of no use.
    """
    found = (
        trait
        for name, column in sample.columns.items()
        if name in sample.raw.columns
        for trait in _of_column(column, sample.raw.columns[name], least)
    )
    return [trait for trait in found if trait is not None]


def _of_column(column: Column, values: Values, least: int) -> Iterator[Trait | None]:
    name = column.name
    if column.type is ColumnType.NUMERIC:
        yield number_trait(name, name, values, least)
    elif column.labels:
        yield label_trait(name, name, values, column.labels, least)
    elif column.type is ColumnType.TIMESTAMP:
        times = np.where(values == NO_TIME, np.nan, values.astype(np.float64))
        yield number_trait(name, name, times, least, _TIMES)
    elif column.type is ColumnType.TEXT:
        lengths = np.array([np.nan if each is None else len(each) for each in values.tolist()])
        yield number_trait(f"length of {name}", name, lengths, least)
    elif column.type is ColumnType.IMAGE:
        brightness, contrast = _light(values)
        yield number_trait(f"brightness of {name}", name, brightness, least)
        yield number_trait(f"contrast of {name}", name, contrast, least)


def _light(images: Values) -> tuple[Numbers, Numbers]:
    """Returns mean and standard deviation of the pixels of each image, 0 to 1."""
    parts = [
        images[start : start + _IMAGES_AT_ONCE].reshape(-1, int(np.prod(images.shape[1:])))
        for start in range(0, len(images), _IMAGES_AT_ONCE)
    ]
    means = [part.mean(axis=1, dtype=np.float64) / 255 for part in parts]
    spreads = [part.astype(np.float32).std(axis=1) / 255 for part in parts]
    return np.concatenate(means), np.concatenate(spreads).astype(np.float64)


def _cuts(values: Numbers, scale: Scale) -> Numbers:
    """Returns what separates bins of about as many rows: short numbers between values."""
    if len(values) == 0:
        return np.empty(0)
    ordered = np.sort(values)
    places = np.linspace(0, len(ordered), BINS + 1)[1:-1].astype(np.intp)
    # A cut stands before the first of equal values, or, where most are equal, after the last.
    firsts = np.searchsorted(ordered, ordered[places])
    afters = np.searchsorted(ordered, ordered[places], side="right")
    steps = np.unique(np.concatenate([firsts, afters]))
    steps = steps[(steps > 0) & (steps < len(ordered))]
    # Short numbers are worth that bins are not quite of as many rows.
    around = len(ordered) // (BINS * _ROUNDING) if scale.rounds else 0
    pairs = [
        (ordered[max(0, step - 1 - around)], ordered[min(len(ordered) - 1, step + around)])
        for step in _spread(steps, len(ordered)).tolist()
    ]
    cuts = [_short(below, above) if scale.rounds else above for below, above in pairs]
    return np.unique(np.array(cuts, np.float64))


def _spread(steps: Codes, rows: int) -> Codes:
    """Returns at most one step for each bin that there may be."""
    bins = (steps * BINS) // rows
    return steps[np.unique(bins, return_index=True)[1]]


def _short(below: float, above: float) -> float:
    """Returns a number with few digits, larger than the one and at most the other."""
    if not np.isfinite(below) or not np.isfinite(above):
        return above
    middle = below + (above - below) / 2
    for digits in range(1, 17):
        short = float(f"{middle:.{digits}g}")
        if below < short <= above:
            return short
    return above


def _runs(bins: int, step: int, has_missing: bool) -> Runs:
    """Returns all stretches of bins that begin and end at steps, but the whole."""
    edges = [*range(0, bins, step), bins]
    runs = [
        (first, last - 1)
        for place, first in enumerate(edges)
        for last in edges[place + 1 :]
        if has_missing or last - first < bins
    ]
    return np.array([*runs, *([(bins, bins)] if has_missing else [])], np.intp).reshape(-1, 2)


def _shown(name: str) -> str:
    return shortened(name, _NAME_LENGTH)
