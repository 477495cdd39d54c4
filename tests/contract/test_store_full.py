"""What happens when the disk of a real MinIO is full."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.rpc import code_pb2

from common.artifacts import ObjectStore
from common.artifacts.opening import open_store
from common.errors import StoreFullError, UnavailableError, to_status
from common.testing.minio import MinioServer, can_mount

_MEBIBYTE = 1024 * 1024
_ROOM = 48 * _MEBIBYTE
_OBJECT_BYTES = 2 * _MEBIBYTE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MinioServer]:
    if not can_mount():
        pytest.skip("this user may not mount a small disk in a namespace of its own")
    server = MinioServer(tmp_path, _ROOM)
    server.start()
    yield server
    server.stop()


def object_bytes(number: int) -> bytes:
    return bytes([number]) * _OBJECT_BYTES


def fill(store: ObjectStore) -> tuple[list[int], StoreFullError]:
    """Writes objects until there is no room; returns those written, and what the store said."""
    written: list[int] = []
    for number in range(100):
        try:
            store.write(f"filler/{number}", object_bytes(number))
            written.append(number)
        except StoreFullError as error:
            return written, error
        except UnavailableError:  # MinIO's first words about it are of other kinds
            continue
    raise AssertionError("the disk does not get full")


@pytest.mark.timeout(300)  # a busy machine needs long to notice that there is room
def test_a_full_store_says_so_and_works_on_once_there_is_room(server: MinioServer) -> None:
    """No acknowledged object is lost; callers learn what is full; who waits goes on by itself."""
    hasty, patient = open_store(server.settings, 0.1), open_store(server.settings, 180)
    written, error = fill(hasty)
    assert written
    assert to_status(error).code == code_pb2.RESOURCE_EXHAUSTED
    assert f"{server.settings.endpoint} has no room left" in error.message
    with pytest.raises(UnavailableError):
        hasty.upload("parts", iter([bytes(_ROOM)]))
    assert all(patient.read(f"filler/{each}")[0] == object_bytes(each) for each in written)
    waiting = threading.Thread(target=lambda: patient.write("late", object_bytes(1)))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    for each in written[::2]:
        patient.delete(f"filler/{each}")
    waiting.join(180)
    assert hasty.read("late")[0] == object_bytes(1)
