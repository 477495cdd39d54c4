"""A champion on the test rows of a search, and what is found beside it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.tuner.v1 import tuner_pb2
from common.artifacts import ObjectStore
from common.calls.catalog import Catalog
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns
from common.data.rows import RawRows, concatenated
from common.data.schema import ColumnType, Part, Schema
from common.models.sample_rows import SampleRows, sample_rows
from common.models.store import read_preprocessing
from common.models.transform import ColumnTransform
from common.names import DatasetVersionName, ModelVersionName
from common.scoring.comparison import gain_over
from common.scoring.metric import Metric, Needs
from services.tuner.champion.learned import (
    common_columns,
    grew_from,
    learned_digests,
    row_digests,
)
from services.tuner.champion.order import Order
from services.tuner.champion.prediction import (
    Predicted,
    Prediction,
    begin_prediction,
    cannot_predict,
)
from services.tuner.domain.problem import Outputs, Positions, Problem, ProblemKind
from services.tuner.domain.reading import rows_of_known_classes
from services.tuner.domain.specification import TuningSpecification
from services.tuner.loading import Loaded, targeted, with_truth

LEAST_ROWS = 10

_TORCH = (model_pb2.MODEL_FORMAT_UNSPECIFIED, model_pb2.MODEL_FORMAT_TORCH_PACKAGE)
_MOST_PARENTS = 20
_PATIENCE_SECONDS = 60.0  # Beyond the search, beside which it has had all the time.


@dataclass(frozen=True)
class Known:
    """A champion as the catalog knows it.

    Attributes:
        version: The model.
        learned: The data that it and its parents learned from; empty where they do not say.
    """

    version: model_pb2.ModelVersion
    learned: tuple[dataset_pb2.DatasetVersion, ...]


@dataclass(frozen=True)
class Contest:
    """What a champion says of test rows.

    Attributes:
        name: Of its version.
        kind: Of the problem.
        kept: The rows, by position among the search's test rows.
        rows: What is true of them.
        prediction: What the champion says, once it has.
        left_out: Test rows that are not among them, for it has learned from equal ones.
        notes: What to know of it, one sentence each.
    """

    name: str
    kind: ProblemKind
    kept: Positions
    rows: Problem
    prediction: Prediction
    left_out: int
    notes: tuple[str, ...]

    def against(
        self, metric: Metric, outputs: Outputs, seed: int, seconds: float
    ) -> tuner_pb2.Comparison:
        """Returns how what was found does beside the champion.

        Args:
            metric: What counts.
            outputs: What was found says of all test rows of the search.
            seed: Of all chance.
            seconds: See `gain_over`.

        Raises:
            FailedPreconditionError: The champion cannot predict the rows; says why.
        """
        said = self.prediction.result(_PATIENCE_SECONDS)
        gain = gain_over(metric, self.rows, outputs[self.kept], said.outputs, seed, seconds)
        return tuner_pb2.Comparison(
            model_version=self.name,
            score=_score(metric.shown(gain.other_loss), gain.other_error),
            found_score=_score(metric.shown(gain.found_loss), gain.found_error),
            gain=gain.value,
            gain_low=gain.low,
            gain_high=gain.high,
            row_count=len(self.kept),
            left_out_count=self.left_out,
            notes=[*self.notes, *self._notes_of(said, metric)],
        )

    def _notes_of(self, said: Predicted, metric: Metric) -> Iterator[str]:
        needs_more = self.kind.has_classes and metric.needs is Needs.PROBABILITIES
        if needs_more and not said.are_probabilities:
            yield f"{self.name} names classes without probabilities, which {metric.name} looks at."


@dataclass(frozen=True)
class Place:
    """Where a contest takes place.

    Attributes:
        store: Where models and data are.
        folder: For files of the champion.
        memory_bytes: What its process may hold.
        seconds: Of a processor, how many it may take to predict.
        check: Called now and then; may raise to stop.
    """

    store: ObjectStore
    folder: Path
    memory_bytes: int
    seconds: float
    check: Callable[[], None]


def open_contest(
    specification: TuningSpecification,
    version: dataset_pb2.DatasetVersion,
    loaded: Loaded,
    champion: Known,
    metric: Metric,
    place: Place,
) -> Contest:
    """Has a champion predict the test rows of a search while that goes on.

    Args:
        specification: Of the search.
        version: Its data.
        loaded: What was read of it.
        champion: See `known_champion`.
        metric: What counts.
        place: Where this takes place.

    Raises:
        FailedPreconditionError: It has learned from all of them, or a file of it is missing.
    """
    if loaded.test is None:
        raise cannot_predict(champion.version.name, "the data have none with a value of the target")
    schema = targeted(schema_from_proto(version.schema), specification.targets)
    raw = _test_rows(version, schema, loaded.problem, place)
    new = _new_rows(version, schema, raw, champion, place)
    kept = np.flatnonzero(new)
    if len(kept) < LEAST_ROWS:
        raise _too_few_new(champion, len(kept), len(new))
    raw, rows = raw.take(kept), loaded.test.take(kept)
    order = Order(
        outputs=loaded.problem.outputs,
        kind=loaded.problem.kind,
        are_decisions=metric.needs is Needs.DECISIONS,
        memory_bytes=place.memory_bytes,
        seconds=place.seconds,
    )
    values = _values(champion.version, raw, schema, place.store)
    prediction = begin_prediction(champion.version, values, order, place.store, place.folder)
    if specification.group_column:
        groups = pd.factorize(raw.columns[specification.group_column])[0].astype(np.int64)
        rows = replace(rows, groups=groups)
    return Contest(
        name=champion.version.name,
        kind=loaded.problem.kind,
        kept=kept,
        rows=rows,
        prediction=prediction,
        left_out=len(new) - len(kept),
        notes=tuple(_notes(champion)),
    )


def _too_few_new(champion: Known, kept: int, count: int) -> Exception:
    return cannot_predict(
        champion.version.name,
        f"{kept:,} of the {count:,} equal none that it has learned from, and {LEAST_ROWS} are "
        "needed; append new rows to the data that it learned from",
    )


async def known_champion(catalog: Catalog, name: str) -> Known:
    """Returns a champion and what it learned from: its own data, and those of its parents."""
    version = await catalog.model_version(name)
    data: dict[str, None] = {}
    parents, seen = list(version.lineage.inputs), {name}
    while parents and len(seen) < _MOST_PARENTS:
        each = parents.pop()
        collection = each.partition("/")[0]
        if "/versions/" not in each or each in seen:
            continue
        if collection == DatasetVersionName.collection:
            data[each] = None
        elif collection == ModelVersionName.collection:
            seen.add(each)
            parents += (await catalog.model_version(each)).lineage.inputs
    return Known(version, tuple([await catalog.dataset_version(each) for each in data]))


def _score(value: float, error: float) -> tuner_pb2.Score:
    return tuner_pb2.Score(value=value, standard_error=error)


def _test_rows(
    version: dataset_pb2.DatasetVersion, schema: Schema, problem: Problem, place: Place
) -> RawRows:
    """Returns the test rows of a search with all their columns, in the order of `Loaded.test`."""
    labels = {each.name: each.labels for each in schema.columns if each.labels}
    found: list[RawRows] = []
    for batch in stream_columns(version, place.store, [each.name for each in schema.columns]):
        place.check()
        found.append(RawRows(batch.columns, labels).take(batch.parts == Part.TEST))
    rows = with_truth(concatenated(found), schema)
    return rows.take(rows_of_known_classes(problem, rows, schema))


def _new_rows(
    version: dataset_pb2.DatasetVersion,
    schema: Schema,
    raw: RawRows,
    champion: Known,
    place: Place,
) -> npt.NDArray[np.bool_]:
    """Returns which rows the champion has not learned from, as far as that can be told.

    Where one version grew from the other, a row that is left for tests now was so then, or came
    later. Else rows are told apart by what they hold.
    """
    new = np.ones(raw.count, bool)
    for learned in champion.learned:
        if grew_from(version, learned):
            continue
        names = common_columns(schema, schema_from_proto(learned.schema))
        if not names:
            continue
        digests = row_digests(raw, [schema.column(name) for name in names])
        new &= ~np.isin(digests, learned_digests(learned, names, place.store, place.check))
    return new


def _values(
    champion: model_pb2.ModelVersion, raw: RawRows, schema: Schema, store: ObjectStore
) -> SampleRows:
    """Returns rows as the champion takes them."""
    if champion.format in _TORCH:
        preprocessing = read_preprocessing(champion, store)
        labels = {each.name: each.labels for each in schema.columns if each.labels}
        transform = ColumnTransform(preprocessing, raw.columns, labels)
        names = preprocessing.network_input.names
        return SampleRows({name: transform.raw(name, slice(None)) for name in names})
    asked = {each.name for each in champion.signature.inputs}
    targets = {*schema.targets, schema.target}
    features = [
        each
        for each in schema.columns
        if each.name not in targets
        and (each.type is not ColumnType.TIMESTAMP or each.name in asked)
    ]
    return sample_rows(raw, features, None)


def _notes(champion: Known) -> Iterator[str]:
    if not champion.learned:
        yield (
            f"It is not known which rows {champion.version.name} has learned from; if some are "
            "among these, it looks better than it is."
        )
