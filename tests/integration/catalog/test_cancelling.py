"""An import that is cancelled half-way: it stops at once and nothing of it is left."""

import asyncio
from pathlib import Path

import pytest

from tests.benchmarks.catalog.cancelling import SECONDS_BOUND, cancel_half_way
from tests.benchmarks.catalog.importing import write_table
from tests.integration.catalog.harness import Catalog
from tests.support.bounds import IMPORT_MEMORY_MB

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.slow
async def test_half_way(running: Catalog, tmp_path: Path) -> None:
    """150 MB of CSV, cancelled while shards are written: see `cancel_half_way` for what is left."""
    path = tmp_path / "table.csv"
    await asyncio.to_thread(write_table, path, 1_200_000)
    found = await cancel_half_way(running, path)
    assert found.stored_before > 0
    assert found.left == []
    assert found.seconds < 5 * SECONDS_BOUND  # the cores may be busy with other tests
    assert found.megabytes < IMPORT_MEMORY_MB
