"""Previews and differences through the real service and its helper process."""

import uuid

import grpc
import pytest

from aimass.catalog.v1 import dataset_pb2
from tests.integration.catalog.harness import Catalog, field_of, status_of_error

pytestmark = pytest.mark.asyncio(loop_scope="module")


def csv(shift: int) -> bytes:
    """Returns a table of numbers and labels."""
    lines = (f"{row / 2 + shift},{'abc'[row % (2 + bool(shift))]}" for row in range(60))
    return ("x,c\n" + "\n".join(lines)).encode()


async def test_preview_and_diff(running: Catalog) -> None:
    """Rows come back as they were imported, and a second version differs where it does."""
    dataset = f"datasets/looking-{uuid.uuid4().hex[:8]}"
    first = await running.run(csv(0), "t.csv", dataset)
    second = await running.run(csv(1000), "t.csv", dataset)
    rows = await running.datasets.PreviewDataset(
        dataset_pb2.PreviewDatasetRequest(name=first.dataset_version, offset=4, row_count=3)
    )
    assert rows.total_rows == 60
    assert list(rows.table.columns[0].doubles.values) == [2.0, 2.5, 3.0]
    assert list(rows.table.columns[1].strings.values) == ["a", "b", "a"]
    assert len(rows.parts) == 3
    diff = await running.datasets.DiffDatasetVersions(
        dataset_pb2.DiffDatasetVersionsRequest(
            base=first.dataset_version, name=f"{dataset}/versions/latest"
        )
    )
    assert not diff.identical
    assert list(diff.columns[1].new_categories) == ["c"]
    assert second.dataset_version.endswith("/2")


async def test_what_cannot_be_shown(running: Catalog) -> None:
    """A version that is not there and a wrong field are told apart."""
    request = dataset_pb2.PreviewDatasetRequest(name="datasets/no-such/versions/1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.datasets.PreviewDataset(request)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.datasets.DiffDatasetVersions(
            dataset_pb2.DiffDatasetVersionsRequest(base="x", name="datasets/d/versions/1")
        )
    assert field_of(status_of_error(caught.value)) == "base"
