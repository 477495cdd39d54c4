"""The records contract on a real MinIO."""

import pytest

from common.artifacts import ObjectStore
from common.testing.minio import MinioServer
from common.testing.records_contract import RecordsContract


class TestRecordsOnMinio(RecordsContract):
    @pytest.fixture
    def store(self, minio_server: MinioServer) -> ObjectStore:
        return minio_server.new_store(patience=30)
