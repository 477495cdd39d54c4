"""An import of objects of the store, through the real service."""

import asyncio
import uuid

import grpc
import pytest

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import run_pb2
from tests.integration.catalog.harness import Catalog, field_of, status_of_error

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def create(running: Catalog, **spec: object) -> dataset_pb2.DatasetImport:
    """Creates an import without an upload."""
    full = dataset_pb2.DatasetImportSpec(
        dataset=f"datasets/o-{uuid.uuid4().hex[:8]}",
        **spec,  # type: ignore[arg-type]
    )
    return await running.datasets.CreateDatasetImport(
        dataset_pb2.CreateDatasetImportRequest(dataset_import=dataset_pb2.DatasetImport(spec=full))
    )


async def test_prefix(running: Catalog) -> None:
    """All files under a prefix become one version, in the order of their keys."""
    for number in range(3):
        rows = "".join(f"{number * 10 + row}.5,{'ab'[row % 2]}\n" for row in range(10))
        await asyncio.to_thread(
            running.store.write, f"imports/o/{number}.csv", f"x,y\n{rows}".encode()
        )
    created = await create(running, uri=f"s3://{running.store.bucket}/imports/o/")
    assert created.spec.format == dataset_pb2.DATA_FORMAT_CSV
    await running.follow(created.name)
    done = await running.datasets.GetDatasetImport(
        dataset_pb2.GetDatasetImportRequest(name=created.name)
    )
    assert done.status.state == run_pb2.RUN_STATE_SUCCEEDED, done.status.error
    preview = await running.datasets.PreviewDataset(
        dataset_pb2.PreviewDatasetRequest(name=done.dataset_version, offset=9, row_count=2)
    )
    assert preview.total_rows == 30
    assert list(preview.table.columns[0].doubles.values) == [9.5, 10.5]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"uri": "s3://somebody-elses/a.csv"}, "uri"),
        ({"uri": "s3://a/b.csv", "upload": "uploads/u"}, "uri"),
        ({}, "upload"),
    ],
)
async def test_bad_origins(running: Catalog, spec: dict[str, object], field: str) -> None:
    """What may not be read, and what names no origin or two, is refused at once."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(running, **spec)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field_of(status_of_error(caught.value)) == f"dataset_import.spec.{field}"
