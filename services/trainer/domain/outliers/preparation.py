"""What a coordinator does about outliers before the first world: read marks, deal folds, fit."""

from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts.protocol import ObjectStore
from common.data.marks import Bools
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns, stream_stored
from common.data.scan_scores import read_scores
from common.data.schema import Part
from common.data.split import Parts
from common.errors import InvalidFieldError
from common.models.preprocessing import Preprocessing
from common.models.store import read_preprocessing
from common.scoring.outlier_uses import Use
from services.trainer.domain.fitting import columns_needed, fit_selections
from services.trainer.domain.job import Fits, JobOutliers
from services.trainer.domain.outliers.marks import (
    NO_FOLD,
    Marks,
    Rows,
    deal_folds,
    deal_groups,
)
from services.trainer.domain.outliers.resolution import LEAST_FOLD_ROWS, too_few_rows
from services.trainer.domain.specification import FIELD, TrainingSpecification

FILE_NAME = "marks.safetensors"
_ONE_CLASS = "ONE_CLASS"


def prepare_outliers(
    specification: TrainingSpecification,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    prefix: str,
    known: model_pb2.ModelVersion | None,
) -> JobOutliers:
    """Reads the scan's scores, deals the folds, fits all preprocessing and stores the marks.

    Args:
        specification: The run's resolved specification; it names a scan.
        version: The data set version, with its shards.
        store: Where shards and scores are and where the marks go.
        prefix: Prefix of all keys of the attempt.
        known: The model version whose preprocessing the run keeps; None to fit it.

    Raises:
        InvalidFieldError: Too few rows are left, or only one class.
        DataLossError: The scores or a shard do not match their digest.
    """
    assert specification.outliers is not None and specification.outliers.scores is not None
    scores = read_scores(specification.outliers.scores, version.row_count, store)
    marks = Marks.without_folds(scores)
    if specification.proof is not None:
        marks = _with_folds(marks, specification, version, store)
    key = prefix + FILE_NAME
    store.write(key, marks.to_bytes())
    if known is not None:
        return JobOutliers(marks_key=key, fits=Fits(every=read_preprocessing(known, store)))
    fits, *folds = _fit(specification, version, store, marks)
    return JobOutliers(marks_key=key, fits=fits, folds=tuple(folds))


def _with_folds(
    marks: Marks,
    specification: TrainingSpecification,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
) -> Marks:
    proof = specification.proof
    assert proof is not None
    name = specification.target_columns[0]
    batches = list(stream_columns(version, store, [name]))
    training = np.concatenate([batch.parts for batch in batches]) == Part.TRAIN
    if version.split.method == dataset_pb2.SPLIT_METHOD_GROUPED:
        groups = _groups(version, store)
        dealt = replace(marks, fold=deal_groups(training, groups, proof.folds, proof.seed))
        if dealt.fold_sizes(proof.folds).min() < LEAST_FOLD_ROWS:
            raise too_few_rows(
                f"The groups of `{version.split.column}` are too few or too uneven for "
                f"{proof.folds} folds of at least {LEAST_FOLD_ROWS} training rows"
            )
        return dealt
    strata = marks.marked.astype(np.int64)
    if specification.task == "classification":
        target = np.concatenate([batch.columns[name] for batch in batches])
        strata = strata + 2 * np.unique(target, return_inverse=True)[1]
    fold = deal_folds(training, strata, proof.folds, proof.seed)
    return replace(marks, fold=fold)


def _groups(version: dataset_pb2.DatasetVersion, store: ObjectStore) -> Rows:
    """Returns the group of each row by number; rows without one are a group."""
    pieces = stream_stored(version, store, version.split.column)
    chunks = [chunk for values, _ in pieces for chunk in values.cast(pa.string()).chunks]
    encoded = pa.chunked_array(chunks).combine_chunks().dictionary_encode()
    groups: Rows = pc.fill_null(encoded.indices, -1).to_numpy()
    return groups


def _fit(
    specification: TrainingSpecification,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    marks: Marks,
) -> list[Fits]:
    """Returns the preprocessing of all training rows, then of those without each fold."""
    assert specification.outliers is not None
    proof = specification.proof
    folds = [NO_FOLD, *range(proof.folds if proof is not None else 0)]
    try:
        every = _fit_each(specification, version, store, marks, "keep", folds)
        if proof is None and specification.outliers.use != "drop":
            return [Fits(every=each) for each in every]
        unmarked = _fit_each(specification, version, store, marks, "drop", folds)
    except InvalidFieldError as error:
        if error.reason == _ONE_CLASS and specification.outliers.use in (None, "drop"):
            raise _one_class(is_proof=proof is not None) from None
        raise
    return [Fits(every=one, unmarked=two) for one, two in zip(every, unmarked, strict=True)]


def _fit_each(
    specification: TrainingSpecification,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    marks: Marks,
    use: Use,
    folds: list[int],
) -> list[Preprocessing]:
    selections = [partial(_trains, marks, use, fold) for fold in folds]
    batches = stream_columns(version, store, columns_needed(specification))
    schema = schema_from_proto(version.schema)
    return fit_selections(specification, schema, batches, selections)


def _trains(marks: Marks, use: Use, fold: int, rows: slice, parts: Parts) -> Bools:
    return marks.part(rows).trains(parts, use, fold)


def _one_class(*, is_proof: bool) -> InvalidFieldError:
    left = "a fold and the rows that the scan marks" if is_proof else "the rows that the scan marks"
    return InvalidFieldError(
        f"{FIELD}.outliers",
        f"Without {left}, the training rows hold only one class; set `use` to DOWN_WEIGHT, or "
        "split the data otherwise.",
        reason=_ONE_CLASS,
    )
