from collections.abc import AsyncIterator

import pytest_asyncio

from common.testing.minio import MinioServer
from tests.integration.catalog.harness import Catalog, running_catalog


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(minio_server: MinioServer) -> AsyncIterator[Catalog]:
    """A catalog with real job processes on a bucket of its own, for all tests of a module."""
    async with running_catalog(minio_server) as catalog:
        yield catalog
