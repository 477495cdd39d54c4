"""What happens while a real MinIO is away, frozen or killed."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.artifacts.opening import open_store
from common.errors import UnavailableError
from common.testing.minio import MinioServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A MinIO of this file's own, to be stopped and killed."""
    server = MinioServer(tmp_path_factory.mktemp("outage"))
    server.start()
    yield server
    server.stop()


def test_a_missing_minio_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Protects CI from being green without having tried a real store."""
    monkeypatch.delenv("AIMASS_MINIO_BINARY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(RuntimeError, match="need MinIO"):
        MinioServer(tmp_path)


def test_a_patient_caller_survives_an_outage(server: MinioServer) -> None:
    """Protects runs: calls made while the store is away succeed once it is back."""
    store = open_store(server.settings, patience=60)
    etag = store.create("patient/a", b"one")
    server.stop()
    results: list[object] = []
    calls = [
        lambda: store.read("patient/a")[0],
        lambda: store.create("patient/b", b"two"),
        lambda: store.upload("patient/c", iter([b"three"])),
        lambda: b"".join(store.download("patient/a")),
        lambda: [info.key for info in store.list("patient/a")],
    ]
    threads = [threading.Thread(target=lambda call=call: results.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    threads[0].join(1.0)
    assert results == []
    server.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == len(calls)
    assert store.replace("patient/a", b"three", etag)
    assert store.read("patient/b")[0] == b"two"


def test_an_impatient_caller_is_told_soon(server: MinioServer) -> None:
    """Protects unary calls from their deadline: UNAVAILABLE comes within seconds."""
    store = open_store(server.settings, patience=1)
    server.stop()
    try:
        began = time.monotonic()
        with pytest.raises(UnavailableError) as raised:
            store.read("a")
        assert time.monotonic() - began < 3
        assert server.settings.secret_key not in raised.value.message + raised.value.private
    finally:
        server.start()


def test_a_frozen_store_is_noticed(server: MinioServer) -> None:
    """Protects callers from a store that takes connections and answers nothing."""
    store = open_store(server.settings, patience=1)
    store.write("frozen", b"x")
    server.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            store.read("frozen")
        assert time.monotonic() - began < 6
    finally:
        server.thaw()
    assert open_store(server.settings, patience=30).read("frozen")[0] == b"x"


def test_a_killed_store_loses_nothing_that_was_acknowledged(server: MinioServer) -> None:
    """Protects every record: what a write returned for is there after a SIGKILL."""
    store = open_store(server.settings, patience=0)
    acknowledged: list[str] = []
    enough = threading.Event()

    def write() -> None:
        for number in range(100_000):
            try:
                store.create(f"killed/{number}", b"%d" % number)
            except UnavailableError:
                return
            acknowledged.append(f"killed/{number}")
            if number == 50:
                enough.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(60)
    server.kill()
    writer.join(60)
    server.start()
    assert not writer.is_alive()
    present = {info.key for info in open_store(server.settings, patience=30).list("killed/")}
    assert set(acknowledged) <= present
