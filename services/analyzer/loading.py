"""From an analysis in the store to its subjects."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.type.v1 import artifact_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import read_artifact
from common.calls.catalog import ask_catalog
from common.data.messages import schema_from_proto
from common.data.schema import Schema
from common.errors import DataLossError, FailedPreconditionError
from common.models.origin import dataset_of
from common.models.store import read_part
from common.names import ModelVersionName
from services.analyzer.domain.models.model import Check
from services.analyzer.domain.resolution import LEAST_ROWS, needs_rows
from services.analyzer.domain.sample import Sample, row_limit
from services.analyzer.domain.specification import AnalysisSpecification, EvaluatedRows
from services.analyzer.domain.subject import History, OutlierMarks, Subject
from services.analyzer.opening import OpenedModel, open_model
from services.analyzer.reading import Rows, read_rows, sample_for

_log = logging.getLogger(__name__)

HISTORY = "history"
_EARLIER_VERSIONS = 5
_MOST_TRAINING_ROWS = 5_000
_FEW_ROWS = 500  # To disturb layers with, where nothing else looks at rows.


def load_subjects(
    specification: AnalysisSpecification, store: ObjectStore, folder: Path, check: Check
) -> list[Subject]:
    """Returns what is analysed: the baseline, then the challengers, on the same rows.

    Args:
        specification: Resolved.
        store: Where models and data are.
        folder: For weights, which must stay there as long as the subjects are used.
        check: Called between batches; raises to stop.
    """
    data_name = specification.dataset_version
    data = ask_catalog(lambda catalog: catalog.dataset_version(data_name))
    schema = schema_from_proto(data.schema)
    rows = _read(specification, data, schema, store, check)
    names = (specification.model_version, *specification.challengers)
    subjects = []
    for place, name in enumerate(names):
        check()
        version = _version(name)
        weights = folder / f"weights-{place}.safetensors"
        opened = open_model(store, version, schema, weights, check)
        subjects.append(_subject(specification, opened, rows, schema, store))
    return subjects


def _version(name: str) -> model_pb2.ModelVersion:
    return ask_catalog(lambda catalog: catalog.model_version(name))


def _read(
    specification: AnalysisSpecification,
    data: dataset_pb2.DatasetVersion,
    schema: Schema,
    store: ObjectStore,
    check: Check,
) -> dict[EvaluatedRows, Rows]:
    evaluated = specification.evaluated_rows
    assert evaluated is not None, "the specification is not resolved"
    is_predicted = needs_rows(specification.parts)
    most = row_limit(schema, specification.rows if is_predicted else _FEW_ROWS)
    wanted = {evaluated: most}
    if is_predicted and evaluated in (EvaluatedRows.TEST, EvaluatedRows.VALIDATION):
        wanted[EvaluatedRows.TRAIN] = min(most, _MOST_TRAINING_ROWS)
    rows = read_rows(data, schema, store, wanted, specification.seed, check)
    if evaluated not in rows:
        raise FailedPreconditionError(f"{data.name} has no {evaluated} rows to look at.")
    return rows


def _subject(
    specification: AnalysisSpecification,
    opened: OpenedModel,
    rows: dict[EvaluatedRows, Rows],
    schema: Schema,
    store: ObjectStore,
) -> Subject:
    assert specification.evaluated_rows is not None
    version = opened.version
    read = rows[specification.evaluated_rows]
    sample = sample_for(read, opened, schema)
    _check_rows(specification, sample.count, len(read.numbers))
    return Subject(
        name=version.name,
        model=opened.model,
        size_bytes=sum(ref.size_bytes for ref in version.artifacts.values()),
        schema=schema,
        dataset_version=specification.dataset_version,
        sample=sample,
        training=_training(specification, rows, opened, schema, sample),
        settings=specification.settings,
        metrics=dict(version.metrics),
        histories=_histories(version, store),
        training_schema=_training_schema(version, specification.dataset_version),
        outliers=_outliers(specification, sample.numbers, store),
        origins=tuple(version.lineage.inputs),
    )


def _check_rows(specification: AnalysisSpecification, known: int, read: int) -> None:
    """Checks that enough of the rows have a value of the target; without any they do without."""
    if known < min(read, LEAST_ROWS) and needs_rows(specification.parts):
        raise FailedPreconditionError(
            f"Only {known} of {read:,} {specification.evaluated_rows} rows of "
            f"{specification.dataset_version} have a value of the target, and an analysis needs "
            f"{LEAST_ROWS}; choose other rows or data."
        )


def _training(
    specification: AnalysisSpecification,
    rows: dict[EvaluatedRows, Rows],
    opened: OpenedModel,
    schema: Schema,
    sample: Sample,
) -> Sample | None:
    """Returns the training rows; None where they are looked at themselves, or tell less."""
    training = rows.get(EvaluatedRows.TRAIN)
    if training is None or specification.evaluated_rows is EvaluatedRows.TRAIN:
        return None
    found = sample_for(training, opened, schema)
    return None if found.truth is None and sample.truth is not None else found


def _training_schema(version: model_pb2.ModelVersion, analysed: str) -> Schema | None:
    trained_on = dataset_of(version)
    if not trained_on or trained_on == analysed:
        return None
    try:
        data = ask_catalog(lambda catalog: catalog.dataset_version(trained_on))
    except FailedPreconditionError:
        return None  # it was deleted
    return schema_from_proto(data.schema)


def _histories(version: model_pb2.ModelVersion, store: ObjectStore) -> Sequence[History]:
    """Returns the curves of a version and of those before it."""
    if HISTORY not in version.artifacts:
        return ()
    name = ModelVersionName.from_name(version.name)
    newest = ask_catalog(lambda catalog: catalog.newest_versions(name.parent.name, 100))
    number = name.number or 0
    earlier = [
        each
        for each in newest
        if HISTORY in each.artifacts
        and (ModelVersionName.from_name(each.name).number or 0) < number
    ]
    return [
        _history(version, store),
        *_readable(earlier[:_EARLIER_VERSIONS], store),
    ]


def _readable(versions: Sequence[model_pb2.ModelVersion], store: ObjectStore) -> Iterator[History]:
    """Yields the curves of versions that have them still: they may be deleted meanwhile."""
    for each in versions:
        try:
            yield _history(each, store)
        except (DataLossError, FailedPreconditionError) as error:
            _log.warning("The curves of %s are left out: %s", each.name, error)


def _history(version: model_pb2.ModelVersion, store: ObjectStore) -> History:
    try:
        table = pq.read_table(pa.BufferReader(read_part(version, HISTORY, store)))
        epochs = table.column("epoch").to_numpy().astype(np.int64)
        values = {
            name: table.column(name).to_numpy().astype(np.float64)
            for name in table.column_names
            if name != "epoch"
        }
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise DataLossError(
            f"The file `{HISTORY}` of {version.name} cannot be read.", private=str(error)
        ) from error
    return History(version.name, epochs, values)


def _outliers(
    specification: AnalysisSpecification, numbers: np.ndarray, store: ObjectStore
) -> OutlierMarks | None:
    scores = specification.outlier_scores
    if scores is None:
        return None
    try:
        content = b"".join(read_artifact(store, artifact_pb2.ArtifactRef(**scores.model_dump())))
    except DataLossError as error:  # The scan was deleted meanwhile, say; it is not what matters.
        _log.warning("%s is left out: %s", specification.outlier_scan, error)
        return None
    table = pq.read_table(pa.BufferReader(content), columns=["marked", "score"])
    if table.num_rows <= numbers.max(initial=0):
        raise DataLossError(f"{specification.outlier_scan} has scores of fewer rows than the data.")
    marked, score = (table.column(name).to_numpy()[numbers] for name in ("marked", "score"))
    return OutlierMarks(specification.outlier_scan, marked, score)
