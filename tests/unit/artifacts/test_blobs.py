"""Artifacts and their references."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from aimass.type.v1.artifact_pb2 import ArtifactRef
from common.artifacts.blobs import artifact_key, fetch_artifact, put_artifact, read_artifact
from common.artifacts.memory import MemoryStore
from common.artifacts.retry import RetryingStore
from common.errors import DataLossError, InvalidFieldError
from common.testing.crash import CrashingStore, Moment, once

DATA = bytes(range(256)) * 5000


def once_only() -> Iterator[bytes]:
    """The data as chunks that come only once."""
    yield DATA[:100_000]
    yield DATA[100_000:]


@pytest.mark.parametrize("kind", ["bytes", "file", "chunks", "generator"])
def test_an_artifact_survives_a_failure_on_its_way(kind: str, tmp_path: Path) -> None:
    """Protects packages: size and digest are those of what is stored, also after a repeat."""
    path = tmp_path / "data"
    path.write_bytes(DATA)
    contents: dict[str, bytes | Path | list[bytes]] = {
        "bytes": DATA,
        "file": path,
        "chunks": [DATA[:7], DATA[7:]],
    }
    memory = MemoryStore()
    store = RetryingStore(CrashingStore(memory, once(1, Moment.LOST)), patience=60)
    ref = put_artifact(store, "runs/a/b", contents.get(kind, once_only()), "text/plain")
    assert ref == ArtifactRef(
        uri="s3://aimass/runs/a/b",
        sha256=hashlib.sha256(DATA).hexdigest(),
        size_bytes=len(DATA),
        media_type="text/plain",
    )
    assert b"".join(read_artifact(store, ref)) == DATA
    fetch_artifact(store, ref, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == DATA


@pytest.mark.parametrize("stored", [DATA[:-1], DATA + b"x", b"x" + DATA[1:], None])
def test_damage_is_noticed(stored: bytes | None, tmp_path: Path) -> None:
    """Protects everybody who reads: wrong bytes are an error, and leave no file."""
    store = MemoryStore()
    ref = put_artifact(store, "a", DATA, "text/plain")
    store.delete("a")
    if stored is not None:
        store.write("a", stored)
    with pytest.raises(DataLossError, match="s3://aimass/a"):
        list(read_artifact(store, ref))
    with pytest.raises(DataLossError):
        fetch_artifact(store, ref, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "a",
        "s3://other/a",
        "s3://aimass/",
        "s3://aimass/../a",
        "http://aimass/a",
        "s3://aimassx/a",
    ],
)
def test_references_lead_nowhere_else(uri: str) -> None:
    """Protects other buckets and paths from references that a client made up."""
    with pytest.raises(InvalidFieldError) as raised:
        artifact_key(MemoryStore(), ArtifactRef(uri=uri), field="artifact.uri")
    assert raised.value.violations[0].field == "artifact.uri"
