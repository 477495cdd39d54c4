"""Imports by real job processes: the three formats, cancel, faults, bad data."""

import pytest

from aimass.type.v1 import run_pb2
from tests.integration.catalog.harness import Catalog

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_csv(running: Catalog) -> None:
    """A CSV becomes a version with schema, split and lineage."""
    text = "x,colour,y\n" + "".join(f"{i / 7},{'rg'[i % 2]},{i % 3}\n" for i in range(90))
    done = await running.run(text.encode(), "t.csv", "datasets/csv")
    assert done.status.state == run_pb2.RUN_STATE_SUCCEEDED, done.status.error
    print(done)
    print(await running.version(done.dataset_version))
