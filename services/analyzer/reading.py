"""Reads the rows that a model is looked at on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import dataset_pb2
from common.artifacts import ObjectStore
from common.data.reader import ColumnBatch, stream_columns
from common.data.rows import RawRows, Values, concatenated
from common.data.schema import Column, Part, Schema, Task
from services.analyzer.domain.models.model import Check
from services.analyzer.domain.resolution import normal_label
from services.analyzer.domain.sample import UNKNOWN_CLASS, Sample
from services.analyzer.domain.specification import EvaluatedRows
from services.analyzer.opening import OpenedModel, feature_columns

_PARTS = {
    EvaluatedRows.TEST: Part.TEST,
    EvaluatedRows.VALIDATION: Part.VALIDATION,
    EvaluatedRows.TRAIN: Part.TRAIN,
}


@dataclass(frozen=True)
class Rows:
    """Rows of a data set version as they are stored, targets included.

    Attributes:
        raw: The rows.
        numbers: Their numbers, ascending.
    """

    raw: RawRows
    numbers: npt.NDArray[np.int64]


def read_rows(
    version: dataset_pb2.DatasetVersion,
    schema: Schema,
    store: ObjectStore,
    wanted: Mapping[EvaluatedRows, int],
    seed: int,
    check: Check,
) -> dict[EvaluatedRows, Rows]:
    """Returns rows drawn at random, of several parts of the split, in one pass over the data.

    Args:
        version: The version, with its shards.
        schema: Its columns.
        store: Where the shards are.
        wanted: At most so many rows of each part; parts that have none are left out.
        seed: Chooses.
        check: Called for each shard; may raise to stop.
    """
    pickers = {
        each: _Picker(each, _count(version, each), most, seed) for each, most in wanted.items()
    }
    names = [each.name for each in schema.columns]
    labels = {each.name: each.labels for each in schema.columns if each.labels}
    start = 0
    for batch in stream_columns(version, store, names):
        check()
        for picker in pickers.values():
            picker.pick(batch, start, labels)
        start += batch.row_count
    return {each: picker.rows() for each, picker in pickers.items() if picker.found}


def sample_for(rows: Rows, opened: OpenedModel, schema: Schema) -> Sample:
    """Returns rows with what is true of them for a model; rows without a truth are left out.

    Where no row has one, all stay, and nothing is said to be true of them.
    """
    truth, known = _truth(rows.raw, opened, schema)
    if not known.any():
        truth, known = None, ~known
    columns = {each.name: each for each in feature_columns(schema)}
    # A target of the data may be what a model takes, if it was trained for another one.
    columns |= {name: schema.column(name) for name in opened.model.features if name not in columns}
    raw = RawRows({name: rows.raw.columns[name] for name in columns}, rows.raw.labels)
    sample = Sample(raw, columns, rows.numbers, truth)
    return sample if known.all() else sample.take(known)


class _Picker:
    """Picks rows of one part, wherever they lie."""

    def __init__(self, part: EvaluatedRows, count: int, most: int, seed: int) -> None:
        self._part = _PARTS.get(part)
        chosen = min(count, most)
        generator = np.random.default_rng([seed, list(EvaluatedRows).index(part)])
        self._places = np.sort(generator.choice(count, chosen, replace=False))
        self._seen = 0
        self._pieces: list[RawRows] = []
        self._numbers: list[npt.NDArray[np.int64]] = []

    @property
    def found(self) -> bool:
        return bool(self._pieces)

    def pick(self, batch: ColumnBatch, start: int, labels: Mapping[str, Sequence[str]]) -> None:
        own = np.arange(batch.row_count)
        if self._part is not None:
            own = np.flatnonzero(batch.parts == self._part)
        low, high = np.searchsorted(self._places, [self._seen, self._seen + len(own)])
        if low < high:
            rows = own[self._places[low:high] - self._seen]
            self._pieces.append(RawRows(batch.columns, labels).take(rows))
            self._numbers.append(rows + start)
        self._seen += len(own)

    def rows(self) -> Rows:
        return Rows(concatenated(self._pieces), np.concatenate(self._numbers))


def _count(version: dataset_pb2.DatasetVersion, part: EvaluatedRows) -> int:
    if part is EvaluatedRows.ALL:
        return version.row_count
    return int(getattr(version.split_counts, part.value))


def _truth(
    raw: RawRows, opened: OpenedModel, schema: Schema
) -> tuple[Values | None, npt.NDArray[np.bool_]]:
    """Returns what is true of rows, and whether it is known."""
    targets = [schema.column(name) for name in opened.targets]
    if not targets:
        return None, np.ones(raw.count, bool)
    if opened.model.task is Task.MULTI_LABEL:
        codes = np.column_stack([raw.columns[each.name].astype(np.float64) for each in targets])
        return codes > 0, np.asarray((codes >= 0).all(axis=1))
    values = raw.columns[targets[0].name]
    if opened.model.task is Task.REGRESSION:
        numbers = values.astype(np.float64)
        return numbers, np.isfinite(numbers)
    return _positions(values, targets[0], opened.model.outputs)


def _positions(
    values: Values, column: Column, classes: Sequence[str]
) -> tuple[Values, npt.NDArray[np.bool_]]:
    """Returns the positions of labels among a model's classes, and whether there is a label."""
    own = {label: place for place, label in enumerate(classes)}
    alike = {normal_label(label): place for place, label in enumerate(classes)}

    def place_of(label: str) -> int:
        # `01` and `1` are classes of their own where a model knows both.
        return own.get(label, alike.get(normal_label(label), UNKNOWN_CLASS))

    if column.labels:
        table = [place_of(label) for label in column.labels]
        codes = values.astype(np.int64)
        return np.array([*table, UNKNOWN_CLASS], np.int64)[codes], codes >= 0
    known = np.array([value is not None and value == value for value in values.tolist()], bool)
    found = [place_of(str(value)) for value in values.tolist()]
    return np.array(found, np.int64), known
