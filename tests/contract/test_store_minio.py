"""The store contract on a real MinIO, and what only a real server can show."""

import tracemalloc

import pytest

from common.artifacts import ObjectStore
from common.testing.minio import MinioServer
from common.testing.store_contract import StoreContract, random_chunks

_MEBIBYTE = 1024 * 1024


class TestMinio(StoreContract):
    @pytest.fixture
    def store(self, minio_server: MinioServer) -> ObjectStore:
        return minio_server.new_store(patience=30)

    def test_streams_in_bounded_memory(self, store: ObjectStore) -> None:
        """Protects services and workers from holding a whole artifact."""
        size = 96 * _MEBIBYTE
        tracemalloc.start()
        try:
            store.upload("large", random_chunks(size))
            uploading = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            assert sum(map(len, store.download("large"))) == size
            downloading = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert uploading < 64 * _MEBIBYTE
        assert downloading < 8 * _MEBIBYTE
