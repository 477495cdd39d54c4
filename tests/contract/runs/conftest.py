from collections.abc import Callable
from pathlib import Path

import pytest

from common.testing.minio import MinioServer
from common.testing.runs_contract import Runs

# Short, so that tests need not wait half a minute for a lease to expire.
TTL_SECONDS = "1.0"


@pytest.fixture
def runs(minio_server: MinioServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    """Runs in a fresh bucket of a real MinIO; processes that are started find it."""
    store = minio_server.new_store()
    settings = minio_server.settings
    variables = {
        "AIMASS_S3_ENDPOINT": settings.endpoint,
        "AIMASS_S3_ACCESS_KEY": settings.access_key,
        "AIMASS_S3_SECRET_KEY": settings.secret_key,
        "AIMASS_S3_BUCKET": store.bucket,
        "AIMASS_LOG_DIR": str(tmp_path),
        "AIMASS_SUITE": store.bucket,
        "AIMASS_LEASE_TTL_SECONDS": TTL_SECONDS,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Runs(store)


@pytest.fixture
def set_ttl(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time to live of leases that are taken from now on."""
    return lambda seconds: monkeypatch.setenv("AIMASS_LEASE_TTL_SECONDS", str(seconds))
