"""Model versions through a real server and a real store."""

import asyncio
import uuid

import grpc
import pytest
from google.protobuf import field_mask_pb2

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact
from tests.integration.catalog.harness import Catalog, field_of, status_of_error

pytestmark = pytest.mark.asyncio(loop_scope="module")


def request_for(running: Catalog, model: str = "") -> model_pb2.CreateModelVersionRequest:
    """Returns a request with a stored artifact."""
    key = f"runs/test/{uuid.uuid4().hex}/weights.safetensors"
    weights = put_artifact(running.store, key, b"weights", "application/octet-stream")
    return model_pb2.CreateModelVersionRequest(
        parent=model or f"models/m-{uuid.uuid4().hex[:8]}",
        model_version=model_pb2.ModelVersion(
            task=dataset_pb2.TASK_CLASSIFICATION,
            artifacts={"weights": weights, "samples": weights},
            metrics={"validation/accuracy": 0.97},
            labels={"team": "vision"},
            parameter_count=42,
        ),
    )


async def refused(running: Catalog, request: model_pb2.CreateModelVersionRequest) -> str:
    """Returns the field that the refusal names."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.models.CreateModelVersion(request)
    assert caught.value.code() in (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
    )
    return field_of(status_of_error(caught.value))


async def test_versions_of_a_model(running: Catalog) -> None:
    """Versions get numbers, `latest` follows, lists page, deletion goes back."""
    request = await asyncio.to_thread(request_for, running)
    first = await running.models.CreateModelVersion(request)
    second = await running.models.CreateModelVersion(request)
    assert first.name == f"{request.parent}/versions/1"
    assert first.metrics["validation/accuracy"] == 0.97
    assert first.HasField("create_time")
    latest = model_pb2.GetModelVersionRequest(name=f"{request.parent}/versions/latest")
    assert await running.models.GetModelVersion(latest) == second
    page = await running.models.ListModelVersions(
        model_pb2.ListModelVersionsRequest(parent=request.parent, page_size=1)
    )
    assert list(page.model_versions) == [second]
    page = await running.models.ListModelVersions(
        model_pb2.ListModelVersionsRequest(
            parent=request.parent, page_size=1, page_token=page.next_page_token
        )
    )
    assert list(page.model_versions) == [first]
    await running.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=second.name))
    assert await running.models.GetModelVersion(latest) == first
    model = await running.models.GetModel(model_pb2.GetModelRequest(name=request.parent))
    assert model.latest_version == 1
    listed = await running.models.ListModels(model_pb2.ListModelsRequest(page_size=1000))
    assert model in list(listed.models)


async def test_aliases_filters_and_orders(running: Catalog) -> None:
    """An alias stands for the number in names and in lineage; lists find and order by metrics."""
    request = await asyncio.to_thread(request_for, running)
    names = []
    for accuracy in (0.7, 0.9, 0.8):
        request.model_version.metrics["validation/accuracy"] = accuracy
        names.append((await running.models.CreateModelVersion(request)).name)
    await running.models.SetModelAlias(
        model_pb2.SetModelAliasRequest(name=names[1], alias="champion")
    )
    champion = f"{request.parent}/versions/champion"
    child = await asyncio.to_thread(request_for, running)
    child.model_version.lineage.inputs.append(champion)
    made = await running.models.CreateModelVersion(child)
    assert list(made.lineage.inputs) == [names[1]]
    page = await running.models.ListModelVersions(
        model_pb2.ListModelVersionsRequest(
            parent=request.parent,
            filter="metrics.validation/accuracy>0.75",
            order_by="metrics.validation/accuracy",
        )
    )
    assert [version.name for version in page.model_versions] == [names[2], names[1]]
    assert list(page.model_versions[1].aliases) == ["champion"]
    changed = await running.models.UpdateModelVersion(
        model_pb2.UpdateModelVersionRequest(
            model_version=model_pb2.ModelVersion(name=champion, labels={"stage": "live"})
        )
    )
    assert (changed.name, dict(changed.labels)) == (names[1], {"stage": "live"})
    mask = field_mask_pb2.FieldMask(paths=["metrics"])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.models.UpdateModelVersion(
            model_pb2.UpdateModelVersionRequest(model_version=changed, update_mask=mask)
        )
    assert field_of(status_of_error(caught.value)) == "update_mask"


async def test_repeat_and_check(running: Catalog) -> None:
    """A repeat returns the first result; checking stores nothing."""
    request = await asyncio.to_thread(request_for, running)
    request.request_id = str(uuid.uuid4())
    request.validate_only = True
    assert not (await running.models.CreateModelVersion(request)).name
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.models.GetModel(model_pb2.GetModelRequest(name=request.parent))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    request.validate_only = False
    first = await running.models.CreateModelVersion(request)
    assert await running.models.CreateModelVersion(request) == first
    request.model_version.parameter_count = 43
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.models.CreateModelVersion(request)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_lineage_holds(running: Catalog) -> None:
    """What a model came from cannot be deleted before the model."""
    done = await running.run(b"x,y\n1,a\n2,b\n", "t.csv", f"datasets/d-{uuid.uuid4().hex[:8]}")
    parent = await running.models.CreateModelVersion(await asyncio.to_thread(request_for, running))
    request = await asyncio.to_thread(request_for, running)
    request.model_version.lineage.inputs.extend([done.dataset_version, parent.name])
    child = await running.models.CreateModelVersion(request)
    for delete in (
        running.datasets.DeleteDatasetVersion(
            dataset_pb2.DeleteDatasetVersionRequest(name=done.dataset_version)
        ),
        running.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=parent.name)),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await delete
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert child.name in (caught.value.details() or "")
    await running.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=child.name))
    await running.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=parent.name))


def changed(good: model_pb2.CreateModelVersionRequest) -> model_pb2.CreateModelVersionRequest:
    copy = model_pb2.CreateModelVersionRequest()
    copy.CopyFrom(good)
    return copy


async def test_bad_versions(running: Catalog) -> None:
    """Each thing that is wrong is named, and no model appears."""
    good = await asyncio.to_thread(request_for, running)
    request = changed(good)
    request.parent = "models/Bad Name"
    assert await refused(running, request) == "parent"
    request = changed(good)
    request.model_version.ClearField("task")
    assert await refused(running, request) == "model_version.task"
    request = changed(good)
    request.model_version.lineage.CopyFrom(run_pb2.Lineage(inputs=["trainingRuns/none"]))
    assert await refused(running, request) == "model_version.lineage.inputs[0]"
    request = changed(good)
    request.model_version.lineage.CopyFrom(run_pb2.Lineage(inputs=["../x"]))
    assert await refused(running, request) == "model_version.lineage.inputs[0]"
    request = changed(good)
    request.model_version.labels["x"] = "y" * 64
    assert await refused(running, request) == "model_version.labels"
    with pytest.raises(grpc.aio.AioRpcError):
        await running.models.GetModel(model_pb2.GetModelRequest(name=good.parent))


async def test_bad_artifacts(running: Catalog) -> None:
    """A file that is missing, damaged or elsewhere is named by its role."""
    good = await asyncio.to_thread(request_for, running)
    request = changed(good)
    request.model_version.ClearField("artifacts")
    assert await refused(running, request) == "model_version.artifacts"
    request = changed(good)
    del request.model_version.artifacts["samples"]
    assert await refused(running, request) == "model_version.artifacts"
    request = changed(good)
    request.model_version.artifacts["weights"].size_bytes = 3
    assert await refused(running, request) == "model_version.artifacts.weights.size_bytes"
    request = changed(good)
    request.model_version.artifacts["weights"].sha256 = ""
    assert await refused(running, request) == "model_version.artifacts.weights.sha256"
    request = changed(good)
    request.model_version.artifacts["weights"].uri = "s3://elsewhere/runs/x"
    assert await refused(running, request) == "model_version.artifacts.weights.uri"
    request = changed(good)
    request.model_version.artifacts["weights"].uri += "x"
    assert await refused(running, request) == "model_version.artifacts.weights"
    request = changed(good)
    request.model_version.artifacts["Bad Role"].CopyFrom(good.model_version.artifacts["weights"])
    assert await refused(running, request) == "model_version.artifacts"
    with pytest.raises(grpc.aio.AioRpcError):
        await running.models.GetModel(model_pb2.GetModelRequest(name=good.parent))
