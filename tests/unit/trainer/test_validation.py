"""What the trainer asks other services before it accepts a run, over real connections."""

import socket
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message import Message

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2, outlier_pb2_grpc
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import artifact_pb2, run_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.data.messages import counts_to_proto, schema_to_proto
from common.errors import (
    FailedPreconditionError,
    InvalidFieldError,
    NotFoundError,
    UnavailableError,
)
from common.serving.server import Service
from common.testing.server import channel_to, running_server
from services.trainer.validation import Validator
from tests.unit.trainer.test_resolution import DATA

pytestmark = pytest.mark.asyncio
SCORES = artifact_pb2.ArtifactRef(uri="s3://b/runs/s/scores.parquet", sha256="0" * 64, size_bytes=9)
SCAN = "outlierScans/s"


async def dataset_version(
    request: dataset_pb2.GetDatasetVersionRequest, context: object
) -> dataset_pb2.DatasetVersion:
    """Answers for a catalog that knows one data set version."""
    return dataset_pb2.DatasetVersion(
        name=DATA.name,
        schema=schema_to_proto(DATA.schema),
        split_counts=counts_to_proto(DATA.counts),
    )


async def scan(
    request: outlier_pb2.GetOutlierScanRequest, context: object
) -> outlier_pb2.OutlierScan:
    """Answers for an outlier service that knows one scan."""
    if request.name != SCAN:
        raise NotFoundError(f"{request.name} does not exist.")
    return outlier_pb2.OutlierScan(
        name=SCAN,
        spec=outlier_pb2.OutlierScanSpec(dataset_version=DATA.name),
        status=run_pb2.RunStatus(state=run_pb2.RUN_STATE_SUCCEEDED),
        scores=SCORES,
    )


def service(
    name: str, method: str, request: type[Message], answer: Callable[..., object]
) -> Service:
    """Returns a service of which only one method is there."""
    handler = grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )

    def add(server: grpc.aio.Server) -> None:
        handlers = grpc.method_handlers_generic_handler(name, {method: handler})
        server.add_generic_rpc_handlers((handlers,))

    return Service(name, add)


@pytest_asyncio.fixture
async def address() -> AsyncIterator[str]:
    """A catalog and an outlier service."""
    catalog, outlier = "aimass.catalog.v1.DatasetService", "aimass.outlier.v1.OutlierService"
    version, known = dataset_pb2.GetDatasetVersionRequest, outlier_pb2.GetOutlierScanRequest
    models, asked = "aimass.catalog.v1.ModelService", model_pb2.GetModelVersionRequest
    services = [
        service(models, "GetModelVersion", asked, model_version),
        service(catalog, "GetDatasetVersion", version, dataset_version),
        service(outlier, "GetOutlierScan", known, scan),
    ]
    async with running_server(services) as found:
        yield found


async def model_version(
    request: model_pb2.GetModelVersionRequest, context: object
) -> model_pb2.ModelVersion:
    """Answers for a catalog that knows one model version, which is no network."""
    return model_pb2.ModelVersion(name=request.name)


def spec(scan: str) -> trainer_pb2.TrainingSpec:
    return trainer_pb2.TrainingSpec(
        dataset_version=DATA.name,
        model="models/m",
        features=["age", "city"],
        outliers=trainer_pb2.OutlierTreatment(scan=scan) if scan else None,
    )


async def resolve(catalog: str, outlier: str, scan: str) -> trainer_pb2.TrainingRun:
    return await resolve_spec(catalog, outlier, spec(scan), MemoryStore())


async def resolve_spec(
    catalog: str, outlier: str, wanted: trainer_pb2.TrainingSpec, store: MemoryStore
) -> trainer_pb2.TrainingRun:
    async with channel_to(catalog) as catalog_channel, channel_to(outlier) as outlier_channel:
        validator = Validator(
            dataset_pb2_grpc.DatasetServiceStub(catalog_channel),
            model_pb2_grpc.ModelServiceStub(catalog_channel),
            outlier_pb2_grpc.OutlierServiceStub(outlier_channel),
            store,
        )
        return await validator.resolve(wanted)


async def test_the_scores_of_the_scan_become_part_of_the_specification(address: str) -> None:
    """Protects the run: it goes by the very scores that it was accepted with."""
    run = await resolve(address, address, SCAN)
    assert run.spec.outliers.scores == SCORES
    assert run.spec.outliers.use == trainer_pb2.OUTLIER_USE_DOWN_WEIGHT


async def test_own_code_is_the_operators_to_permit(address: str) -> None:
    """Nobody who may create runs thereby runs Python on the agents' hosts."""
    wanted = spec("")
    wanted.code.files["a.py"] = "def build(inputs, outputs, arguments): ..."
    wanted.code.network = "a:build"
    store = MemoryStore()
    with pytest.raises(FailedPreconditionError, match="AIMASS_TRAINER_OWN_CODE=true"):
        await resolve_spec(address, address, wanted, store)
    assert not list(store.list(""))


async def test_a_scan_that_does_not_exist_is_a_wrong_field(address: str) -> None:
    """Protects from a bare NOT_FOUND that leaves open what was not found."""
    with pytest.raises(InvalidFieldError, match="outlierScans/other does not exist") as caught:
        await resolve(address, address, "outlierScans/other")
    assert caught.value.violations[0].field == "training_run.spec.outliers.scan"
    assert caught.value.reason == "NO_SUCH_SCAN"


async def test_only_runs_with_outliers_need_the_outlier_service(address: str) -> None:
    """Protects trainings while that service is away; those that need it are told."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"127.0.0.1:{nobody.getsockname()[1]}"
        assert not (await resolve(address, away, "")).spec.HasField("outliers")
        with pytest.raises(UnavailableError, match="outlier service, which knows outlierScans/s"):
            await resolve(address, away, SCAN)


async def test_a_teacher_that_is_no_network_is_a_wrong_field(address: str) -> None:
    """Protects from an error that speaks of a file and leaves open which field is meant."""
    wanted = spec("")
    wanted.distillation.teacher_model_version = "models/trees/versions/1"
    with pytest.raises(InvalidFieldError, match="no network of the trainer") as caught:
        await resolve_spec(address, address, wanted, MemoryStore())
    field = "training_run.spec.distillation.teacher_model_version"
    assert caught.value.violations[0].field == field


async def test_files_are_looked_for_before_a_run_is_accepted(address: str) -> None:
    """Protects from a run that waits for workers to find that a file was never stored."""
    store = MemoryStore()
    stored = put_artifact(store, "runs/x/strengths", b"tensors", "application/x")
    wanted = spec("")
    wanted.monitor = trainer_pb2.MONITORED_METRIC_NONE
    strengths = wanted.growing_decay.strengths
    strengths.CopyFrom(stored)
    run = await resolve_spec(address, address, wanted, store)
    assert run.spec.growing_decay.strengths == stored
    for change, field in (
        ({"uri": f"{stored.uri}-other"}, "uri"),
        ({"uri": "s3://elsewhere/x"}, "uri"),
        ({"size_bytes": 3}, "size_bytes"),
    ):
        strengths.CopyFrom(stored)
        strengths.MergeFrom(artifact_pb2.ArtifactRef(**change))
        with pytest.raises(InvalidFieldError) as caught:
            await resolve_spec(address, address, wanted, store)
        expected = f"training_run.spec.growing_decay.strengths.{field}"
        assert caught.value.violations[0].field == expected
