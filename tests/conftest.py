from collections.abc import Iterator
from pathlib import Path

import pytest

from common.artifacts import ObjectStore
from common.artifacts.opening import open_store
from common.testing.minio import MinioServer

_SUITES = ("e2e", "integration/local")

pytest.register_assert_rewrite(
    "common.testing.store_contract",
    "common.testing.records_contract",
    "common.testing.lists_contract",
)


# Before pytest-xdist looks for the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps tests of one folder in one process: they share a suite, a store, agents.

    Those that start whole suites also keep to one: two at a time would take each other's ports.
    """
    for item in items:
        folder = str(item.path.parent.relative_to(Path(__file__).parent))
        item.add_marker(pytest.mark.xdist_group("suites" if folder in _SUITES else folder))


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
