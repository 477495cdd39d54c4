"""The rows that the model gets most wrong, for people."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType, Task
from common.reports.text import number, shortened
from services.analyzer.domain.behaviour.observed import Numbers, Observed
from services.analyzer.domain.behaviour.summary import RowValue, WrongRow
from services.analyzer.domain.page.thumbnails import Pixels, fitted, pixels_of
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.traits import NO_TIME, Trait, time_text, traits_of

_MOST_ROWS = 20
_MOST_VALUES = 6
_MOST_OUTPUTS = 10
_MOST_COMPARED = 20_000
_MOST_LABELS = 5
_TEXT_LENGTH = 48
_PICTURE_SIDE = 64
_SHOWN = frozenset(
    {
        ColumnType.NUMERIC,
        ColumnType.CATEGORICAL,
        ColumnType.BOOLEAN,
        ColumnType.TEXT,
        ColumnType.TIMESTAMP,
    }
)


@dataclass(frozen=True)
class WrongRows:
    """Rows with the gravest errors, the gravest first.

    Attributes:
        rows: What is said of them.
        pictures: Their images, uint8 (height, width) or (height, width, 3); empty without images.
    """

    rows: tuple[WrongRow, ...]
    pictures: tuple[Pixels, ...] = ()


def wrong_rows(seen: Observed) -> WrongRows:
    """Returns the rows with the gravest errors: surely wrong, or far off."""
    places = _gravest(seen)
    columns = _main_columns(seen)
    rows = tuple(_told(seen, place, columns) for place in places)
    return WrongRows(rows, _pictures(seen.sample, places))


def _gravest(seen: Observed) -> list[int]:
    """Returns places of rows with an error, by how much the model was against the truth."""
    gravity = _gravity(seen)
    wrong = np.flatnonzero(seen.errors > 0)
    order = np.argsort(-gravity[wrong], kind="stable")[:_MOST_ROWS]
    return [int(place) for place in wrong[order]]


def _gravity(seen: Observed) -> Numbers:
    if seen.task is Task.REGRESSION:
        return seen.errors
    if seen.task is Task.MULTI_LABEL:
        return np.asarray(np.abs(seen.outputs - seen.truth.astype(np.float64)).mean(axis=1))
    rows, truth = np.arange(seen.count), seen.truth.astype(np.int64)
    own = np.where(truth < 0, 0.0, seen.outputs[rows, truth])
    return np.asarray(seen.outputs.max(axis=1) - own)


def _told(seen: Observed, place: int, columns: Sequence[str]) -> WrongRow:
    sample = seen.sample
    values = tuple(
        RowValue(name, told_value(sample.columns[name], sample.raw.columns[name][place]))
        for name in columns
    )
    truth, found = seen.truth[place], seen.found[place]
    error = seen.residuals[place] if seen.task is Task.REGRESSION else seen.errors[place]
    return WrongRow(
        int(sample.numbers[place]),
        _answer(seen, truth),
        _answer(seen, found),
        _probability(seen, place),
        float(error),
        values,
    )


def _answer(seen: Observed, answer: Values) -> str:
    """Returns a truth or prediction for people."""
    if seen.task is Task.REGRESSION:
        return number(float(answer))
    if seen.task is Task.MULTI_LABEL:
        labels = [seen.names[place] for place in np.flatnonzero(answer).tolist()]
        more = len(labels) - _MOST_LABELS
        told = ", ".join(shortened(each) for each in labels[:_MOST_LABELS])
        return (f"{told} and {more} more" if more > 0 else told) or "none"
    place = int(answer)
    return seen.names[place] if place >= 0 else "a class that the model does not know"


def _probability(seen: Observed, place: int) -> float | None:
    if not seen.has_probabilities or seen.task is not Task.CLASSIFICATION:
        return None
    return float(seen.outputs[place].max())


def told_value(column: Column, value: Values) -> str:
    """Returns a raw value of a column for people."""
    if column.type is ColumnType.TEXT:
        return "missing" if value is None else shortened(str(value), _TEXT_LENGTH)
    if column.labels:
        code = int(value)
        known = 0 <= code < len(column.labels)
        return shortened(column.labels[code], _TEXT_LENGTH) if known else "missing"
    if column.type is ColumnType.TIMESTAMP:
        return "missing" if int(value) == NO_TIME else time_text(float(value))
    return "missing" if np.isnan(float(value)) else number(float(value))


def _main_columns(seen: Observed) -> list[str]:
    """Returns the columns that the predictions go with most, by correlation ratio."""
    sample = seen.sample
    if sample.count > _MOST_COMPARED:
        chosen = np.linspace(0, sample.count - 1, _MOST_COMPARED).astype(np.int64)
    else:
        chosen = np.arange(sample.count)
    outputs = seen.outputs[chosen][:, :_MOST_OUTPUTS]
    traits = traits_of(_shown(sample).take(chosen), least=1)
    ratios = {trait.column: _correlation_ratio(trait, outputs) for trait in traits}
    shown = [
        name
        for name, column in sample.columns.items()
        if column.type in _SHOWN and name in sample.raw.columns
    ]
    return sorted(shown, key=lambda name: -ratios.get(name, 0.0))[:_MOST_VALUES]


def _shown(sample: Sample) -> Sample:
    """Returns the rows without images and vectors, which are large; nothing is copied."""
    columns = {name: each for name, each in sample.columns.items() if each.type in _SHOWN}
    raw = {name: each for name, each in sample.raw.columns.items() if name in columns}
    return replace(sample, raw=RawRows(raw, sample.raw.labels), columns=columns)


def _correlation_ratio(trait: Trait, outputs: Numbers) -> float:
    """Returns the share of the outputs' variance between the trait's codes."""
    sizes = np.maximum(np.bincount(trait.codes), 1)
    total = float(((outputs - outputs.mean(axis=0)) ** 2).sum())
    if total == 0:
        return 0.0
    between = 0.0
    for values in (outputs - outputs.mean(axis=0)).T:
        sums = np.bincount(trait.codes, values)
        between += float((sums**2 / sizes).sum())
    return between / total


def _pictures(sample: Sample, places: Sequence[int]) -> tuple[Pixels, ...]:
    images = [name for name, each in sample.columns.items() if each.type is ColumnType.IMAGE]
    if not images:
        return ()
    values = sample.raw.columns[images[0]]
    return tuple(fitted(pixels_of(values[place]), _PICTURE_SIDE) for place in places)
