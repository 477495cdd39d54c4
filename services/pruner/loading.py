"""From a pruning in the store to the model and the rows that it works with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts import ObjectStore
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns
from common.data.rows import RawRows, Values, concatenated
from common.data.schema import LABEL_TYPES, Column, ColumnType, Part, Schema
from common.errors import FailedPreconditionError
from common.models.answering import Question, places_of
from common.models.outputs import UnknownOutputsError
from common.models.preprocessing import PREPROCESSING, TOKENIZER, Target
from common.models.sample_rows import SampleRows, sample_rows
from common.models.store import read_part, read_preprocessing
from common.models.transform import ColumnTransform
from common.scoring.arrays import Truth
from common.scoring.kinds import ProblemKind
from common.scoring.metric import Needs
from common.scoring.registry import metric_for
from services.pruner.convert import known_model
from services.pruner.domain.foreign.graphs import kept_layer_missing, read_model
from services.pruner.domain.judging import HeldOut
from services.pruner.domain.methods import SMALL_NETWORK, ModelFormat
from services.pruner.domain.resolution import LEAST_ROWS, KnownModel, kind_of, refused
from services.pruner.domain.specification import PruningSpecification
from services.pruner.domain.students.lessons import Lessons, lessons_of, moments
from services.pruner.domain.variants import (
    ONNX,
    SAMPLES,
    SPECIFICATION,
    WEIGHTS,
    Built,
)

_OF_PACKAGES = frozenset({PREPROCESSING, TOKENIZER, SPECIFICATION, "environment"})

_PART = ""
"""Name of the part of the split among the columns, which all have a longer one."""
_MOST_LEARNED, _MOST_HELD_OUT = 20_000, 50_000


@dataclass(frozen=True)
class Loaded:
    """What a pruning works with.

    Attributes:
        version: The model's record.
        built: The model as it was.
        question: What models are asked for.
        learned: Rows that the model has learned from, some of them.
        choosing: Rows that variants are chosen by.
        judging: Rows that nothing is chosen by.
        training_rows: How many training rows there are, whether among those learned or not.
        lessons: What small networks learn from; None where there are none, or nobody asks for them.
    """

    version: model_pb2.ModelVersion
    built: Built
    question: Question
    learned: HeldOut
    choosing: HeldOut
    judging: HeldOut
    training_rows: int
    lessons: Lessons | None = None


def load(
    specification: PruningSpecification,
    version: model_pb2.ModelVersion,
    data: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    check: Callable[[], None],
) -> Loaded:
    """Reads what a pruning works with.

    Args:
        specification: Resolved.
        version: The model's record.
        data: The data's record, with its shards.
        store: Where files are.
        check: Called for each shard; may raise to stop.

    Raises:
        FailedPreconditionError: The rows do not have what is needed; says what.
        InvalidFieldError: A layer that is to stay is none of the model.
        DataLossError: A file is damaged.
    """
    model, schema = known_model(version), schema_from_proto(data.schema)
    kind = kind_of(model, schema)
    outputs = _outputs(model, kind, schema)
    raw = _read(data, schema, store, check)
    truth, known = _truth(raw, kind, outputs, schema, model)
    raw, truth = raw.take(known), truth[known]
    chosen = _chosen(raw.columns[_PART], model, specification.seed)
    lessons = None
    if SMALL_NETWORK in specification.methods:
        target = _target(schema, outputs if kind.has_classes else (), truth[chosen[0]])
        features = _features(schema, version)
        lessons = lessons_of(features, version.signature, raw, chosen[0], target)
    rows_of = _rows_of(schema, version, store, lessons)
    learned, choosing, judging = (HeldOut(rows_of(raw.take(each)), truth[each]) for each in chosen)
    _check_rows(specification, choosing, judging)
    metric = metric_for(kind, specification.metric)
    question = Question(outputs, kind, metric.needs is Needs.DECISIONS)
    files = {role: read_part(version, role, store) for role in _roles(model)}
    if model.format is ModelFormat.ONNX:
        _check_kept_layers(specification.kept_layers, files[ONNX], version.name)
    signature = model_pb2.Signature()
    signature.CopyFrom(version.signature)
    if kind.has_classes and not signature.classes:
        signature.classes.extend(outputs)
    built = Built(model.format, files, signature, network=version.network)
    rows = data.split_counts.train
    return Loaded(version, built, question, learned, choosing, judging, rows, lessons)


def _check_kept_layers(kept: Sequence[str], content: bytes, name: str) -> None:
    missing = kept_layer_missing(read_model(content), kept) if kept else None
    if missing is not None:
        raise refused(
            f"kept_layers[{missing}]",
            f"{name} has no node `{kept[missing]}` with weights, nor weights "
            f"`{kept[missing]}.weight`; look up its graph in an analysis.",
        )


def _roles(model: KnownModel) -> list[str]:
    own = str(model.format)
    if model.format is ModelFormat.TORCH_PACKAGE:
        return [ONNX, SAMPLES, WEIGHTS, *sorted(_OF_PACKAGES & model.roles)]
    return list(dict.fromkeys([own, SAMPLES, *({ONNX} & model.roles)]))


def _outputs(model: KnownModel, kind: ProblemKind, schema: Schema) -> tuple[str, ...]:
    targets = tuple(schema.targets) or (schema.target,)
    if kind is ProblemKind.REGRESSION:
        return targets[:1]
    if kind is ProblemKind.MULTI_LABEL:
        return model.classes if {*model.classes} <= {*targets} and model.classes else targets
    return model.classes or tuple(schema.column(targets[0]).labels)


def _read(
    data: dataset_pb2.DatasetVersion,
    schema: Schema,
    store: ObjectStore,
    check: Callable[[], None],
) -> RawRows:
    labels = {each.name: each.labels for each in schema.columns if each.labels}
    found = []
    for batch in stream_columns(data, store, [each.name for each in schema.columns]):
        check()
        found.append(RawRows({**batch.columns, _PART: batch.parts}, labels))
    if not found:
        raise _unfit(f"{data.name} has no rows")
    return concatenated(found)


def _target(schema: Schema, classes: tuple[str, ...], learned: Truth) -> Target:
    name = (*schema.targets, schema.target)[0]
    if classes:
        return Target(name=name, task="classification", classes=classes)
    mean, scale = moments(learned.astype(np.float64))
    return Target(name=name, task="regression", mean=mean, scale=scale)


def _rows_of(
    schema: Schema, version: model_pb2.ModelVersion, store: ObjectStore, lessons: Lessons | None
) -> Callable[[RawRows], SampleRows]:
    """Returns what turns raw rows into what the model takes, and networks that learn from it."""
    if version.format in (model_pb2.MODEL_FORMAT_SKOPS, model_pb2.MODEL_FORMAT_ONNX):
        features = _features(schema, version)

        def taken(raw: RawRows) -> SampleRows:
            rows = sample_rows(raw, features, None)
            inputs = lessons.inputs(raw) if lessons is not None else {}
            return replace(rows, by_name={**rows.by_name, **inputs})

        return taken
    preprocessing = read_preprocessing(version, store)
    names = preprocessing.network_input.names

    def prepared(raw: RawRows) -> SampleRows:
        transform = ColumnTransform(preprocessing, raw.columns, raw.labels)
        return SampleRows({name: transform.raw(name, slice(None)) for name in names})

    return prepared


def _features(schema: Schema, version: model_pb2.ModelVersion) -> list[Column]:
    targets = {*schema.targets, schema.target}
    asked = {each.name for each in version.signature.inputs}
    return [
        each
        for each in schema.columns
        if each.name not in targets
        and (each.type is not ColumnType.TIMESTAMP or each.name in asked)
    ]


def _truth(
    raw: RawRows, kind: ProblemKind, outputs: Sequence[str], schema: Schema, model: KnownModel
) -> tuple[Truth, npt.NDArray[np.bool_]]:
    """Returns what is true of rows, and whether that is known."""
    targets = [schema.column(each) for each in schema.targets or (schema.target,)]
    if kind is ProblemKind.MULTI_LABEL:
        codes = np.column_stack([raw.columns[each].astype(np.float64) for each in outputs])
        return (codes > 0).astype(np.int8), np.asarray((codes >= 0).all(axis=1))
    values = raw.columns[targets[0].name]
    if kind is ProblemKind.REGRESSION:
        numbers = values.astype(np.float64)
        return numbers, np.isfinite(numbers)
    classes, labels = _codes(values, targets[0])
    try:
        places = np.array([*places_of(outputs, labels, len(outputs)), -1], np.int64)
    except UnknownOutputsError as error:
        raise _unfit(f"the target's classes are not those of {model.name}: {error}") from None
    return places[classes], places[classes] >= 0


def _codes(values: Values, target: Column) -> tuple[npt.NDArray[np.int64], Sequence[str]]:
    """Returns the classes of rows as positions among labels, -1 for none."""
    if target.type in LABEL_TYPES:
        return values.astype(np.int64), target.labels
    known = np.array([each is not None and each == each for each in values.tolist()], bool)
    labels, codes = np.unique(values[known].astype(str), return_inverse=True)
    places = np.full(len(values), -1, np.int64)
    places[known] = codes
    return places, labels.tolist()


def _chosen(parts: Values, model: KnownModel, seed: int) -> tuple[Values, Values, Values]:
    """Returns the positions of rows: learned, to choose by, to judge on; in random order."""
    generator = np.random.default_rng(seed)
    validation = generator.permutation(np.flatnonzero(parts == Part.VALIDATION))
    test = generator.permutation(np.flatnonzero(parts == Part.TEST))
    learned = generator.permutation(np.flatnonzero(parts == Part.TRAIN))
    if model.learned_validation:
        learned = generator.permutation(np.concatenate([learned, validation]))
        validation = validation[:0]
    if not len(validation) or not len(test):
        held_out = np.concatenate([validation, test])
        validation, test = np.split(held_out, [len(held_out) // 2])
    return learned[:_MOST_LEARNED], validation[:_MOST_HELD_OUT], test[:_MOST_HELD_OUT]


def _check_rows(specification: PruningSpecification, choosing: HeldOut, judging: HeldOut) -> None:
    least = min(len(choosing.truth), len(judging.truth))
    if least < LEAST_ROWS:
        raise _unfit(
            f"only {least} held-out rows of {specification.dataset_version} have a value of the "
            f"target that the model knows, and {LEAST_ROWS} are needed"
        )


def _unfit(problem: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"The model cannot be judged: {problem}.", reason="MODEL_CANNOT_BE_JUDGED"
    )
