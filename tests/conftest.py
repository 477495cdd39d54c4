from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from common.artifacts import ObjectStore
from common.artifacts.opening import open_store
from common.testing.minio import MinioServer

_SUITES = ("e2e", "integration/local")
# These start suites of their own, beside the one that the others share.
_OWN_SUITES = frozenset(
    {
        "test_analyses",
        "test_chaos",
        "test_forecasts",
        "test_frozen_parts",
        "test_full_memory",
        "test_injected_faults",
        "test_mtls",
        "test_own_code",
        "test_policies",
        "test_pruning",
        "test_pruning_faults",
        "test_tracing",
        "test_tuning",
    }
)

# How long an example takes says more of the machine than of the code: `timeout` ends what hangs.
settings.register_profile("aimass", deadline=None)
settings.load_profile("aimass")

pytest.register_assert_rewrite(
    "common.testing.store_contract",
    "common.testing.records_contract",
    "common.testing.lists_contract",
)


class FolderScheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Keeps tests of one folder in one process: they share a suite, a store, agents.

    Those that start whole suites keep to two, one of them for the suite that most share: a few
    cores bear no more suites at a time.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Returns the group of a test."""
        path, _, _ = nodeid.partition("::")
        folder, _, name = path.removeprefix("tests/").rpartition("/")
        if folder not in _SUITES:
            return folder
        return "own suites" if name.removesuffix(".py") in _OWN_SUITES else "suites"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Distributes the tests of `make test`."""
    return FolderScheduling(config, log)


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
