"""The store contract on a real MinIO, and what only a real server can show."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import minio.time
import pytest

from common.artifacts import ObjectStore
from common.errors import UnavailableError
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

    @pytest.mark.parametrize("days", [1, -1])
    def test_a_clock_that_is_off_is_named(
        self, minio_server: MinioServer, monkeypatch: pytest.MonkeyPatch, days: int
    ) -> None:
        """A clock that jumped is passing trouble: runs wait, and callers read whose clock it is."""
        store = minio_server.new_store(patience=0.1)
        store.write("before", b"x")
        shifted = datetime.now(UTC) + timedelta(days=days)
        calls: list[Callable[[], object]] = [
            lambda: store.write("after", b"x"),
            lambda: store.read("before"),
            lambda: list(store.list("")),
        ]
        with monkeypatch.context() as patch:
            patch.setattr(minio.time, "utcnow", lambda: shifted)
            for call in calls:
                with pytest.raises(UnavailableError, match="clock is 1440 minutes") as caught:
                    call()
                assert caught.value.reason == "CLOCKS_DIFFER"
        assert [info.key for info in store.list("")] == ["before"]
