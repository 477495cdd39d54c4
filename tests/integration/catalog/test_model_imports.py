"""Imports of models from elsewhere through real processes and a real store."""

import asyncio
import hashlib
import urllib.request
import uuid

import grpc
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from aimass.catalog.v1 import dataset_pb2, lineage_pb2, model_pb2, transfer_pb2
from aimass.type.v1 import artifact_pb2, run_pb2
from common.models.skops_model import load_skops
from common.testing.runs_contract import wait_for_lineage
from tests.integration.catalog.harness import Catalog, field_of, reason_of, status_of_error
from tests.support.foreign_models import linear_onnx, skops_file

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def imported(
    running: Catalog, content: bytes, filename: str, **spec: object
) -> model_pb2.ModelImport:
    """Uploads and imports a model; returns the import as it ended."""
    full = model_pb2.ModelImportSpec(
        model=f"models/m-{uuid.uuid4().hex[:8]}",
        upload=await running.upload(content, filename),
        **spec,  # type: ignore[arg-type]
    )
    created = await running.models.CreateModelImport(
        model_pb2.CreateModelImportRequest(
            model_import=model_pb2.ModelImport(spec=full, labels={"team": "a"})
        )
    )
    call = running.models.WatchModelImport(model_pb2.WatchModelImportRequest(name=created.name))
    async for _ in call:
        pass
    return await running.models.GetModelImport(model_pb2.GetModelImportRequest(name=created.name))


async def test_a_skops_model_with_its_data(running: Catalog) -> None:
    """A scikit-learn model becomes a version with signature, classes, metrics and lineage."""
    features, species = load_iris(return_X_y=True)
    lines = ["a,b,c,d,kind"] + [
        ",".join([*map(str, row), f"kind{kind}"])
        for row, kind in zip(features, species, strict=True)
    ]
    data = await running.run(
        "\n".join(lines).encode(), "iris.csv", f"datasets/d-{uuid.uuid4().hex[:8]}", target="kind"
    )
    labels = [f"kind{kind}" for kind in species]
    content = skops_file(LogisticRegression(max_iter=500).fit(features, labels))
    latest = f"{data.dataset_version.rpartition('/')[0]}/latest"
    done = await imported(running, content, "iris.skops", dataset_version=latest)
    assert done.status.state == run_pb2.RUN_STATE_SUCCEEDED, done.status.error
    assert done.spec.dataset_version == data.dataset_version
    version = await running.models.GetModelVersion(
        model_pb2.GetModelVersionRequest(name=done.model_version)
    )
    assert version.format == model_pb2.MODEL_FORMAT_SKOPS
    assert version.task == dataset_pb2.TASK_CLASSIFICATION
    assert list(version.signature.classes) == ["kind0", "kind1", "kind2"]
    assert version.metrics["validation/accuracy"] > 0.8
    assert list(version.lineage.inputs) == [done.name, done.spec.upload, data.dataset_version]
    assert dict(version.labels) == {"team": "a"}
    model = await asyncio.to_thread(load_skops, running.store, version)
    assert model.predict({"features": features[:2]})["probabilities"].shape == (2, 3)
    await look_at(running, done, version)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.models.DeleteModelImport(model_pb2.DeleteModelImportRequest(name=done.name))
    assert version.name in (caught.value.details() or "")


async def look_at(
    running: Catalog, done: model_pb2.ModelImport, version: model_pb2.ModelVersion
) -> None:
    """Traces a version to its raw data, downloads a file by address, reads the run's lineage."""
    trace = await running.lineage.Trace(
        lineage_pb2.TraceRequest(name=version.name.replace("/1", "/latest"))
    )
    assert trace.name == version.name
    kinds = {node.kind for node in trace.nodes}
    assert kinds == {"modelVersion", "modelImport", "upload", "datasetVersion", "datasetImport"}
    assert lineage_pb2.LineageEdge(input=done.name, output=version.name) in list(trace.edges)
    artifact = version.artifacts["skops"]
    address = await running.transfers.CreateArtifactUrl(
        transfer_pb2.CreateArtifactUrlRequest(artifact=artifact)
    )
    content = await asyncio.to_thread(lambda: urllib.request.urlopen(address.url).read())
    assert hashlib.sha256(content).hexdigest() == artifact.sha256
    await wait_for_lineage(running.store, done.name, "COMPLETE")


@pytest.mark.parametrize(
    ("uri", "seconds", "field"),
    [
        ("s3://elsewhere/runs/x", 60, "artifact.uri"),
        ("records/models/m.json", 60, "artifact.uri"),
        ("runs/none", 60, "artifact"),
        ("runs/none", 0, "lifetime"),
        ("runs/none", 8 * 24 * 3600, "lifetime"),
    ],
)
async def test_bad_addresses(running: Catalog, uri: str, seconds: int, field: str) -> None:
    """No address is made of what is not an artifact, or for longer than a store allows."""
    full = uri if uri.startswith("s3://") else f"s3://{running.store.bucket}/{uri}"
    request = transfer_pb2.CreateArtifactUrlRequest(artifact=artifact_pb2.ArtifactRef(uri=full))
    request.lifetime.FromSeconds(seconds)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.transfers.CreateArtifactUrl(request)
    assert field_of(status_of_error(caught.value)) == field


async def test_bad_traces(running: Catalog) -> None:
    """Each thing that is wrong is named."""
    for wrong, field in (
        ({"name": "x"}, "name"),
        ({"name": "models/m", "depth": 101}, "depth"),
        ({"name": "uploads/u", "depth": -1}, "depth"),
        ({"name": "models/m", "direction": 99}, "direction"),
    ):
        request = lineage_pb2.TraceRequest(**wrong)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.lineage.Trace(request)
        assert field_of(status_of_error(caught.value)) == field
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.lineage.Trace(lineage_pb2.TraceRequest(name="uploads/none"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_onnx_model_and_one_that_is_refused(running: Catalog) -> None:
    """A good file is tried on random rows; a bad one ends in FAILED with field and reason."""
    content = linear_onnx().SerializeToString()
    task = dataset_pb2.TASK_REGRESSION
    done = await imported(running, content, "net.onnx", task=task, metrics={"mine/loss": 0.5})
    assert done.status.state == run_pb2.RUN_STATE_SUCCEEDED, done.status.error
    version = await running.models.GetModelVersion(
        model_pb2.GetModelVersionRequest(name=done.model_version)
    )
    assert sorted(version.artifacts) == ["onnx", "samples"]
    assert dict(version.metrics) == {"mine/loss": 0.5}
    bad = await imported(running, content[:40], "net.onnx", task=task)
    assert bad.status.state == run_pb2.RUN_STATE_FAILED
    assert field_of(bad.status.error) == "model_import.spec.upload"
    assert reason_of(bad.status.error) == "BAD_MODEL"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"model": "models/Bad Name"}, "model"),
        ({"upload": "uploads/none"}, "upload"),
        ({"format": model_pb2.MODEL_FORMAT_TORCH_PACKAGE}, "format"),
        ({"format": model_pb2.MODEL_FORMAT_UNSPECIFIED}, "format"),
        ({"task": dataset_pb2.TASK_UNSPECIFIED}, "task"),
        ({"dataset_version": "datasets/none/versions/1"}, "dataset_version"),
        ({"dataset_version": "datasets/none/versions/latest"}, "dataset_version"),
        ({"classes": ["a", "a"]}, "classes"),
        ({"metrics": {"x": float("nan")}}, 'metrics["x"]'),
    ],
)
async def test_bad_requests(running: Catalog, spec: dict[str, object], field: str) -> None:
    """Each thing that is wrong is named before anything is stored."""
    good: dict[str, object] = {
        "model": "models/m",
        "upload": await running.upload(b"x", "model.bin"),
        "format": model_pb2.MODEL_FORMAT_ONNX,
        "task": dataset_pb2.TASK_REGRESSION,
    }
    full = model_pb2.ModelImportSpec(**{**good, **spec})  # type: ignore[arg-type]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.models.CreateModelImport(
            model_pb2.CreateModelImportRequest(
                model_import=model_pb2.ModelImport(spec=full), validate_only=True
            )
        )
    assert field_of(status_of_error(caught.value)) == f"model_import.spec.{field}"
