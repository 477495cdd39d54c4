"""Imports by real job processes: the three formats, cancel, death of the job, bad data."""

import asyncio
import io
import os
import signal
import uuid
import zipfile
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from PIL import Image

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import run_pb2
from common.data.cache import HostCache
from common.runs.hosts import job_processes
from common.runs.kind import lease_key
from common.runs.lease import read_lease
from tests.integration.catalog.harness import Catalog, field_of, reason_of, status_of_error

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUCCEEDED, FAILED = run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED


def csv(rows: int) -> bytes:
    """Returns a table with numbers, labels and a target."""
    lines = (f"{i / 7},{'rgb'[i % 3]},{i % 2}" for i in range(rows))
    return ("x,colour,y\n" + "\n".join(lines)).encode()


def fresh(prefix: str) -> str:
    """Returns the name of a data set that no other test uses."""
    return f"datasets/{prefix}-{uuid.uuid4().hex[:8]}"


async def test_csv(running: Catalog, tmp_path: Path) -> None:
    """A CSV becomes version 1 with schema, split and lineage; its data is read from the store."""
    done = await running.run(csv(90), "t.csv", fresh("csv"))
    assert done.status.state == SUCCEEDED, done.status.error
    assert done.dataset_version.endswith("/versions/1")
    assert done.status.progress.fraction == 1
    version = await running.version(done.dataset_version)
    assert version.row_count == 90
    assert (version.split_counts.train, version.split_counts.validation) == (72, 18)
    assert list(version.lineage.inputs) == [done.name, done.spec.upload]
    assert version.schema.target == "y"
    cached = await asyncio.to_thread(HostCache(tmp_path).table, version, running.store)
    np.testing.assert_array_equal(cached.column("x"), np.arange(90) / 7)


async def test_npz_and_second_version(running: Catalog) -> None:
    """Another import into a data set is its version 2, which `latest` stands for then."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, X=np.arange(60, dtype=np.uint8).reshape(20, 3), y=np.arange(20) % 2)
    dataset = fresh("npz")
    first = await running.run(buffer.getvalue(), "a.npz", dataset)
    second = await running.run(buffer.getvalue(), "a.npz", dataset)
    assert second.dataset_version == f"{dataset}/versions/2"
    latest = await running.version(f"{dataset}/versions/latest")
    assert latest.name == second.dataset_version
    assert latest.digest == (await running.version(first.dataset_version)).digest
    parent = await running.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name=dataset))
    assert parent.latest_version == 2
    listed = await running.datasets.ListDatasetVersions(
        dataset_pb2.ListDatasetVersionsRequest(parent=dataset)
    )
    assert [version.name[-1] for version in listed.dataset_versions] == ["2", "1"]
    assert not any(version.shards for version in listed.dataset_versions)


async def test_images(running: Catalog) -> None:
    """A zip of images becomes an image column and its labels."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(12):
            image = io.BytesIO()
            Image.new("L", (4, 3), i).save(image, "PNG")
            archive.writestr(f"{'ab'[i % 2]}/{i}.png", image.getvalue())
    done = await running.run(buffer.getvalue(), "i.zip", fresh("images"))
    assert done.status.state == SUCCEEDED, done.status.error
    version = await running.version(done.dataset_version)
    assert list(version.schema.columns[0].shape) == [1, 3, 4]
    assert list(version.schema.columns[1].categories) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "filename", "spec", "field", "reason"),
    [
        (b"x,y\n1,2\n3\n", "f.csv", {}, "upload", "RAGGED_FILE"),
        (b"x,y\n", "f.csv", {}, "upload", "EMPTY_FILE"),
        (b"x,y\n1,\xc3\xbc\n2,\xff\n", "f.csv", {}, "upload", "UNREADABLE_FILE"),
        (b"x,y\n1,1\n2,1\n", "f.csv", {}, "target", "SINGLE_CLASS"),
        (b"x,y\n1,1\n2,nan\n", "f.csv", {}, "target", "MISSING_TARGET_VALUE"),
        (b"x,y\ninf,1\n2,0\n", "f.csv", {}, "upload", "INFINITE_VALUE"),
        (b"x,y\n1,1\n2,0\n", "f.csv", {"target": "z"}, "target", "UNKNOWN_COLUMN"),
        (
            b"x,y\n1,1\n2,0\n",
            "f.csv",
            {"column_types": {"z": dataset_pb2.COLUMN_TYPE_TEXT}},
            "column_types",
            "UNKNOWN_COLUMN",
        ),
        (b"PK no zip", "f.zip", {}, "upload", "BAD_ARCHIVE"),
        (b"PK no zip", "f.npz", {}, "upload", "BAD_ARCHIVE"),
    ],
)
async def test_bad_data(
    running: Catalog,
    content: bytes,
    filename: str,
    spec: dict[str, object],
    field: str,
    reason: str,
) -> None:
    """What only the data shows fails the run with the typed error, and leaves no data set."""
    dataset = fresh("bad")
    done = await running.run(content, filename, dataset, **spec)
    assert done.status.state == FAILED
    assert done.status.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert field_of(done.status.error) == f"dataset_import.spec.{field}"
    assert reason_of(done.status.error) == reason
    assert not done.dataset_version
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name=dataset))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("spec", "field", "code"),
    [
        ({"dataset": ""}, "dataset", grpc.StatusCode.INVALID_ARGUMENT),
        ({"dataset": "datasets/../x"}, "dataset", grpc.StatusCode.INVALID_ARGUMENT),
        ({"upload": ""}, "upload", grpc.StatusCode.INVALID_ARGUMENT),
        ({"upload": "uploads/missing"}, "upload", grpc.StatusCode.NOT_FOUND),
        ({"format": 77}, "format", grpc.StatusCode.INVALID_ARGUMENT),
        (
            {"split": dataset_pb2.SplitSpec(validation_fraction=1.0)},
            "split.validation_fraction",
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            {"split": dataset_pb2.SplitSpec(validation_fraction=float("nan"))},
            "split.validation_fraction",
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            {"split": dataset_pb2.SplitSpec(validation_fraction=0.6, test_fraction=0.4)},
            "split",
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            {"split": dataset_pb2.SplitSpec(seed=-1)},
            "split.seed",
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            {
                "task": dataset_pb2.TASK_REGRESSION,
                "split": dataset_pb2.SplitSpec(method=dataset_pb2.SPLIT_METHOD_STRATIFIED),
            },
            "split.method",
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            {"task": dataset_pb2.TASK_UNSUPERVISED, "target": "y"},
            "target",
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
    ],
)
async def test_bad_specification(
    running: Catalog, spec: dict[str, object], field: str, code: grpc.StatusCode
) -> None:
    """What needs no data is refused by Create: nothing is stored, also when only checking."""
    whole = {"dataset": fresh("spec"), "upload": "uploads/missing", **spec}
    request = dataset_pb2.CreateDatasetImportRequest(
        dataset_import=dataset_pb2.DatasetImport(
            spec=dataset_pb2.DatasetImportSpec(**whole)  # type: ignore[arg-type]
        ),
        dataset_import_id=f"bad-{uuid.uuid4().hex[:8]}",
    )
    for validate_only in (True, False):
        request.validate_only = validate_only
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.datasets.CreateDatasetImport(request)
        assert caught.value.code() is code
        assert field_of(status_of_error(caught.value)) == f"dataset_import.spec.{field}"
    with pytest.raises(grpc.aio.AioRpcError):
        await running.datasets.GetDatasetImport(
            dataset_pb2.GetDatasetImportRequest(name=f"datasetImports/{request.dataset_import_id}")
        )


async def test_unknown_format(running: Catalog) -> None:
    """A file name that tells nothing needs a format."""
    upload = await running.upload(b"x", "data.dat")
    request = dataset_pb2.CreateDatasetImportRequest()
    request.dataset_import.spec.dataset = fresh("format")
    request.dataset_import.spec.upload = upload
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.datasets.CreateDatasetImport(request)
    assert field_of(status_of_error(caught.value)) == "dataset_import.spec.format"
    request.dataset_import.spec.format = dataset_pb2.DATA_FORMAT_CSV
    request.validate_only = True
    resolved = await running.datasets.CreateDatasetImport(request)
    assert resolved.spec.split.validation_fraction == 0.2


async def test_repeat_of_create(running: Catalog) -> None:
    """The same request id gives the same run; another content is refused."""
    request = dataset_pb2.CreateDatasetImportRequest(request_id=str(uuid.uuid4()))
    request.dataset_import.spec.dataset = fresh("repeat")
    request.dataset_import.spec.upload = await running.upload(csv(10), "t.csv")
    first = await running.datasets.CreateDatasetImport(request)
    again = await running.datasets.CreateDatasetImport(request)
    assert first.name == again.name
    request.dataset_import.spec.target = "x"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.datasets.CreateDatasetImport(request)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    await running.follow(first.name)


async def test_deletion_is_safe(running: Catalog) -> None:
    """Import and version are deleted in that order only; the data goes with the version."""
    done = await running.run(csv(20), "t.csv", fresh("delete"))
    version = await running.version(done.dataset_version)
    delete_import = dataset_pb2.DeleteDatasetImportRequest(name=done.name)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.datasets.DeleteDatasetImport(delete_import)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert version.name in (caught.value.details() or "")
    await running.datasets.DeleteDatasetVersion(
        dataset_pb2.DeleteDatasetVersionRequest(name=version.name)
    )
    prefix = f"runs/{done.name}/"
    keys = [info.key for info in await asyncio.to_thread(list, running.store.list(prefix))]
    assert keys
    assert not any(".parquet" in key for key in keys)
    await running.datasets.DeleteDatasetImport(delete_import)
    assert not await asyncio.to_thread(list, running.store.list(prefix))


async def test_cancel(running: Catalog) -> None:
    """A running import stops, its processes are gone, and no version is left."""
    dataset = fresh("cancel")
    created = await running.create(csv(1_500_000), "t.csv", dataset)
    await running.wait_for_stage(created.name, "reading")
    pids = await _processes(running, created.name)
    await running.datasets.CancelDatasetImport(
        dataset_pb2.CancelDatasetImportRequest(name=created.name)
    )
    events = await running.follow(created.name)
    assert events[-1].state_change.state == run_pb2.RUN_STATE_CANCELLED
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(grpc.aio.AioRpcError):
        await running.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name=dataset))


# Writing is quick and is noticed 0.25 s late: it takes more rows to be still at it then.
@pytest.mark.slow
@pytest.mark.parametrize(("stage", "rows"), [("reading", 200_000), ("writing", 1_500_000)])
async def test_killed_job_is_taken_over(running: Catalog, stage: str, rows: int) -> None:
    """SIGKILL in the middle: a second attempt makes the one version; events have no gap."""
    dataset = fresh("killed")
    created = await running.create(csv(rows), "t.csv", dataset)
    await running.wait_for_stage(created.name, stage)
    for pid in await _processes(running, created.name):
        os.kill(pid, signal.SIGKILL)
    events = await running.follow(created.name)
    assert events[-1].state_change.state == SUCCEEDED
    assert events[-1].attempt == 2
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    listed = await running.datasets.ListDatasetVersions(
        dataset_pb2.ListDatasetVersionsRequest(parent=dataset)
    )
    assert [version.name for version in listed.dataset_versions] == [f"{dataset}/versions/1"]
    assert listed.dataset_versions[0].row_count == rows


async def _processes(running: Catalog, name: str) -> list[int]:
    view = await asyncio.to_thread(read_lease, running.store, lease_key(name))
    assert view is not None
    found = job_processes(view.record.owner, view.record.process.pid)
    assert found
    return [process.pid for process in found]
