from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aimass.catalog.v1 import dataset_pb2_grpc, lineage_pb2_grpc, model_pb2_grpc, transfer_pb2_grpc
from common.testing.minio import MinioServer
from common.testing.server import channel_to, running_server
from services.catalog.app import catalog
from services.catalog.config import CatalogSettings
from tests.integration.catalog.harness import Catalog


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(minio_server: MinioServer) -> AsyncIterator[Catalog]:
    """A catalog with real job processes on a bucket of its own, for all tests of this folder."""
    store = minio_server.new_store()
    settings = minio_server.settings
    environment = {
        "AIMASS_S3_ENDPOINT": settings.endpoint,
        "AIMASS_S3_ACCESS_KEY": settings.access_key,
        "AIMASS_S3_SECRET_KEY": settings.secret_key,
        "AIMASS_S3_BUCKET": store.bucket,
        "AIMASS_LEASE_TTL_SECONDS": "3",
    }
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        async with (
            catalog(CatalogSettings(), store) as services,
            running_server(services) as address,
            channel_to(address) as channel,
        ):
            yield Catalog(
                address,
                store,
                dataset_pb2_grpc.DatasetServiceStub(channel),
                model_pb2_grpc.ModelServiceStub(channel),
                transfer_pb2_grpc.TransferServiceStub(channel),
                lineage_pb2_grpc.LineageServiceStub(channel),
            )
