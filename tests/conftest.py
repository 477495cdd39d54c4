from collections.abc import Iterator

import pytest

from common.artifacts import ObjectStore
from common.artifacts.opening import open_store
from common.testing.minio import MinioServer

pytest.register_assert_rewrite(
    "common.testing.store_contract",
    "common.testing.records_contract",
    "common.testing.lists_contract",
)


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A real MinIO for the whole session. Its absence is a failure, not a skip."""
    server = MinioServer(tmp_path_factory.mktemp("minio"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def minio_store(minio_server: MinioServer) -> ObjectStore:
    """A bucket for all tests of the session; `minio_server.new_store()` gives a fresh one."""
    return open_store(minio_server.settings)
