"""Where worlds find their data."""

import os
from pathlib import Path

import pytest

from common.artifacts import ObjectStore
from common.testing.minio import MinioServer
from tests.support.training import Desk
from tests.support.worlds import Worlds


@pytest.fixture
def worlds(tmp_path: Path, minio_server: MinioServer, minio_store: ObjectStore) -> Worlds:
    desk = Desk(tmp_path, minio_store)
    settings = minio_server.settings
    environment = os.environ | {
        "AIMASS_S3_ENDPOINT": settings.endpoint,
        "AIMASS_S3_ACCESS_KEY": settings.access_key,
        "AIMASS_S3_SECRET_KEY": settings.secret_key,
        "AIMASS_S3_BUCKET": settings.bucket,
        "AIMASS_CACHE_DIR": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    return Worlds(desk, environment)
