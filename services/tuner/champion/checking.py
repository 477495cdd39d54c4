"""Checks the model that a search is to be compared with, before the search exists."""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import grpc

from aimass.catalog.v1 import dataset_pb2, model_pb2, model_pb2_grpc
from aimass.tuner.v1 import tuner_pb2
from common.artifacts import ObjectStore
from common.data.schema import ColumnType
from common.errors import FailedPreconditionError, InvalidFieldError, NotFoundError
from common.models.store import read_preprocessing
from common.names import ModelVersionName
from common.protobuf import enum_short_name
from common.records import RecordStore
from common.scoring.kinds import ProblemKind
from common.wording import quoted
from services.tuner.domain.resolution.data import TuningData, refused
from services.tuner.domain.specification import FIELD, TuningSpecification
from services.tuner.kind import TUNING_RUNS

_CHAMPION = "champion"
_PATH = f"{FIELD}.{_CHAMPION}"
_TORCH = (model_pb2.MODEL_FORMAT_UNSPECIFIED, model_pb2.MODEL_FORMAT_TORCH_PACKAGE)
_ROLES: Mapping[int, str] = MappingProxyType(
    {
        **dict.fromkeys((*_TORCH, model_pb2.MODEL_FORMAT_ONNX), "onnx"),
        model_pb2.MODEL_FORMAT_SKOPS: "skops",
    }
)
_TASKS: Mapping[ProblemKind, int] = MappingProxyType(
    {
        ProblemKind.BINARY: dataset_pb2.TASK_CLASSIFICATION,
        ProblemKind.MULTICLASS: dataset_pb2.TASK_CLASSIFICATION,
        ProblemKind.MULTI_LABEL: dataset_pb2.TASK_MULTI_LABEL,
        ProblemKind.REGRESSION: dataset_pb2.TASK_REGRESSION,
    }
)
_SINGLE_INPUT, _MOST_NAMED = 1, 5


class Champions:
    """Looks champions up and checks that they can be compared with.

    Args:
        models: Stub of the catalog's models.
        store: Where their files are.
        records: The suite's resources: searches say what their models predict.
    """

    def __init__(
        self,
        models: "model_pb2_grpc.ModelServiceAsyncStub",
        store: ObjectStore,
        records: RecordStore,
    ) -> None:
        self._models = models
        self._store = store
        self._records = records

    async def resolved(self, specification: TuningSpecification, data: TuningData) -> str:
        """Returns the numbered name of a champion; empty where none is named.

        Args:
            specification: Resolved but for the champion.
            data: Its data.

        Raises:
            InvalidFieldError: It cannot be compared with; names the field and the cure.
        """
        if not specification.champion:
            return ""
        name = version_name(specification.champion)
        if specification.kind is ProblemKind.FORECASTING:
            raise _refused("Forecasts are not compared with another model yet; leave it out.")
        if not data.counts.test:
            raise _refused(
                f"{data.name} has no test rows to compare on; import with a `test_fraction`, or "
                "leave it out.",
                "NO_TEST_ROWS",
            )
        version = await self._version(name)
        _check_format(version)
        _check_task(version, specification)
        await asyncio.to_thread(self._check_target, version, specification)
        _check_classes(version, specification, data)
        return version.name

    async def _version(self, name: ModelVersionName) -> model_pb2.ModelVersion:
        request = model_pb2.GetModelVersionRequest(name=name.name)
        try:
            return await self._models.GetModelVersion(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            told = (error.details() or f"{name.name} does not exist").rstrip(".")
        raise _refused(
            f"{told}; name a version that exists, or leave it out.", "CHAMPION_NOT_FOUND"
        )

    def _check_target(
        self, version: model_pb2.ModelVersion, specification: TuningSpecification
    ) -> None:
        own = self._targets(version)
        if own and set(own) != set(specification.targets):
            raise _refused(
                f"{version.name} predicts {_listed(own)}, and the search "
                f"{_listed(specification.targets)}; name a model of the same target.",
                "OTHER_TARGET",
            )

    def _targets(self, version: model_pb2.ModelVersion) -> tuple[str, ...]:
        """Returns what a model predicts; empty where nobody says."""
        if version.format in _TORCH:
            return (read_preprocessing(version, self._store).target.name,)
        for name in version.lineage.inputs:
            if name.startswith(f"{TUNING_RUNS.collection}/"):
                try:
                    run = self._records.get(name, tuner_pb2.TuningRun).resource
                except NotFoundError:
                    continue
                return tuple(run.spec.targets)
        return ()


def version_name(text: str) -> ModelVersionName:
    """Returns the name of a champion, also where it is written `models/{model}@{alias}`.

    Raises:
        InvalidFieldError: It is no name of a model version.
    """
    model, at, alias = text.partition("@")
    try:
        return ModelVersionName.from_name(f"{model}/versions/{alias}" if at else text, _PATH)
    except InvalidFieldError:
        raise _refused(
            "Must have the form `models/{model}/versions/{number}` or `models/{model}@{alias}`, "
            f"not {quoted(text)}.",
            "INVALID_NAME",
        ) from None


def _check_format(version: model_pb2.ModelVersion) -> None:
    role = _ROLES.get(version.format)
    if role is None:
        kind = enum_short_name(model_pb2.ModelFormat.DESCRIPTOR, version.format)
        raise _refused(
            f"{version.name} is a {kind}; name a package of the trainer, or a scikit-learn or ONNX "
            "model.",
            "FORMAT_NOT_SUPPORTED",
        )
    if role not in version.artifacts:
        raise FailedPreconditionError(f"{version.name} has no file `{role}`; name another model.")


def _check_task(version: model_pb2.ModelVersion, specification: TuningSpecification) -> None:
    kind = specification.kind
    assert kind is not None, "the specification is not resolved"
    if version.task != _TASKS[kind]:
        own = enum_short_name(dataset_pb2.Task.DESCRIPTOR, version.task)
        raise _refused(
            f"{version.name} is for the task {own}, and the search is {kind.replace('_', '-')}; "
            "name a model for the same task.",
            "OTHER_TASK",
        )


def _check_classes(
    version: model_pb2.ModelVersion, specification: TuningSpecification, data: TuningData
) -> None:
    """Checks classes and inputs as far as the catalog knows them; the rest shows with the rows."""
    own = {each.lower() for each in version.signature.classes}
    kind, target = specification.kind, data.column(specification.targets[0], "targets")
    # Truth values and numbers are written in several ways: these show with the rows.
    labels = {each.lower() for each in target.categories}
    has_classes = kind is not None and kind.has_classes
    if has_classes and own and labels and own.isdisjoint(labels):
        raise _refused(
            f"{version.name} knows the classes {_listed(version.signature.classes)}, and "
            f"`{target.name}` has none of them; name a model of the same target.",
            "OTHER_TARGET",
        )
    missing = _missing_columns(version, data)
    if missing:
        raise _refused(
            f"{version.name} takes {_listed(missing)}, which {data.name} does not have; name a "
            "model that was learned from such data.",
            "MISSING_COLUMNS",
        )


def _missing_columns(version: model_pb2.ModelVersion, data: TuningData) -> list[str]:
    """Returns the inputs of a model of named columns that the data do not have."""
    if version.format in _TORCH or len(version.signature.inputs) <= _SINGLE_INPUT:
        return []
    columns = {each.name for each in data.schema.columns}
    vectors = {each.name for each in data.schema.columns if each.type is ColumnType.EMBEDDING}
    return [
        each.name
        for each in version.signature.inputs
        if each.name not in columns and each.name.rpartition(".")[0] not in vectors
    ]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{each}`" for each in names[:_MOST_NAMED])
    left = len(names) - _MOST_NAMED
    return f"{shown} and {left} more" if left > 0 else shown


def _refused(description: str, reason: str = "") -> InvalidFieldError:
    return refused(_CHAMPION, description, reason)
