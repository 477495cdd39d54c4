"""Appending through the real service: one version of both, the older one kept."""

import asyncio
import uuid
from pathlib import Path

import grpc
import numpy as np
import pytest

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import run_pb2
from common.data.cache import HostCache
from tests.integration.catalog.harness import Catalog, field_of, reason_of, status_of_error

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def delete(running: Catalog, name: str) -> None:
    """Deletes a version."""
    await running.datasets.DeleteDatasetVersion(dataset_pb2.DeleteDatasetVersionRequest(name=name))


async def test_append(running: Catalog, tmp_path: Path) -> None:
    """Rows come after those before and are read together; each version keeps its own data."""
    dataset = f"datasets/append-{uuid.uuid4().hex[:8]}"
    rows = "".join(f"{row},{'ab'[row % 2]}\n" for row in range(40))
    split = dataset_pb2.SplitSpec(validation_fraction=0.5)
    first = await running.run(f"x,y\n{rows}".encode(), "a.csv", dataset, split=split)
    more = "".join(f"{row}.123456789,c\n" for row in range(10))
    second = await running.run(f"x,y\n{more}".encode(), "b.csv", dataset, append=True)
    assert second.status.state == run_pb2.RUN_STATE_SUCCEEDED, second.status.error
    assert second.spec.split.validation_fraction == 0.5
    base = await running.version(first.dataset_version)
    whole = await running.version(second.dataset_version)
    assert whole.base_version == base.name
    assert list(whole.shards[:1]) == list(base.shards)
    assert (whole.row_count, whole.split_counts.validation) == (50, 25)
    cached = await asyncio.to_thread(HostCache(tmp_path).table, whole, running.store)
    np.testing.assert_array_equal(cached.column("x")[:40], np.arange(40))
    np.testing.assert_array_equal(cached.column("x")[40:], np.arange(10) + 0.123456789)
    assert [cached.labels("y")[code] for code in cached.column("y")[38:42]] == ["a", "b", "c", "c"]
    preview = await running.datasets.PreviewDataset(
        dataset_pb2.PreviewDatasetRequest(name=whole.name, offset=39, row_count=2)
    )
    assert list(preview.table.columns[1].strings.values) == ["b", "c"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await delete(running, base.name)
    assert reason_of(status_of_error(caught.value)) == "IN_USE"
    assert whole.name in (caught.value.details() or "")
    await delete(running, whole.name)
    kept = [info.key for info in running.store.list(f"runs/{first.name}/")]
    assert any(key.endswith("data-00000.parquet") for key in kept)
    await delete(running, base.name)


async def test_two_at_once(running: Catalog) -> None:
    """Two appends at the same time, each in a process of its own: no rows of either are lost.

    They are split by groups, as the version before.
    """
    dataset = f"datasets/append-{uuid.uuid4().hex[:8]}"
    split = dataset_pb2.SplitSpec(method=dataset_pb2.SPLIT_METHOD_GROUPED, column="x")
    await running.run(b"x,y\n" + b"1,a\n2,b\n" * 9, "a.csv", dataset, split=split)
    pieces = [await running.create(b"x,y\n3,a\n", "b.csv", dataset, append=True) for _ in "ab"]
    for piece in pieces:
        await running.follow(piece.name)
    newest = await running.version(f"{dataset}/versions/latest")
    assert (newest.name[-1], newest.base_version[-1], newest.row_count) == ("3", "2", 20)
    assert (newest.split.method, newest.split.column) == (split.method, "x")
    assert newest.split_counts.validation in (9, 11)  # both new rows are of one group


async def test_nothing_to_append_to(running: Catalog) -> None:
    """Without an older version an append is refused at once."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.create(b"x,y\n1,2\n", "a.csv", "datasets/append-none", append=True)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert field_of(status_of_error(caught.value)) == "dataset_import.spec.append"


async def test_other_columns(running: Catalog) -> None:
    """A file with other columns fails the run and leaves the data set as it was."""
    dataset = f"datasets/append-{uuid.uuid4().hex[:8]}"
    await running.run(b"x,y\n" + b"1,a\n2,b\n" * 9, "a.csv", dataset)
    done = await running.run(b"x,z\n" + b"1,a\n2,b\n" * 9, "b.csv", dataset, append=True)
    assert reason_of(done.status.error) == "OTHER_COLUMNS"
    latest = await running.version(f"{dataset}/versions/latest")
    assert latest.name.endswith("/versions/1")
