"""Uploads and downloads over connections that break."""

import hashlib
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from aimass.catalog.v1 import transfer_pb2, transfer_pb2_grpc
from aimass.type.v1 import artifact_pb2
from common.calls.client import connect_sync
from common.cli.errors import CliError
from common.cli.transfer import CHUNK_BYTES, download_artifact, upload_file

DATA = bytes(range(256)) * 4096  # 1 MiB: four chunks


class BreakingTransfer(transfer_pb2_grpc.TransferServiceServicer):
    """Keeps one upload, and cuts the line after two chunks as often as it is told."""

    def __init__(self, cuts: int) -> None:
        self.cuts = cuts
        self.data = b""
        self.upload = transfer_pb2.Upload()
        self.received = 0

    def GetUpload(self, request: transfer_pb2.GetUploadRequest, context: Any) -> Any:  # noqa: N802
        if request.name != self.upload.name:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such upload")
        self.upload.committed_bytes = len(self.data)
        return self.upload

    def WriteUpload(self, messages: Iterator[Any], context: Any) -> Any:  # noqa: N802
        header = next(messages).header
        self.upload.name = header.name
        assert header.offset == len(self.data)
        for number, message in enumerate(messages):
            if self.cuts and number == 2:
                self.cuts -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "the line was cut")
            self.data += message.chunk
            self.received += len(message.chunk)
        assert hashlib.sha256(self.data).hexdigest() == header.sha256
        self.upload.complete = True
        return self.upload

    def ReadArtifact(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        yield transfer_pb2.ReadArtifactResponse(artifact=request.artifact)
        for sent, start in enumerate(range(request.offset, len(DATA), CHUNK_BYTES)):
            if self.cuts and sent == 2:
                self.cuts -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "the line was cut")
            yield transfer_pb2.ReadArtifactResponse(chunk=DATA[start : start + CHUNK_BYTES])

    def CreateArtifactUrl(self, request: Any, context: Any) -> Any:  # noqa: N802
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "no address")


@contextmanager
def serving(servicer: BreakingTransfer) -> Iterator[transfer_pb2_grpc.TransferServiceStub]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    transfer_pb2_grpc.add_TransferServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with connect_sync(f"127.0.0.1:{port}", "token") as channel:
            yield transfer_pb2_grpc.TransferServiceStub(channel)
    finally:
        server.stop(None)


def test_an_upload_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    """A cut line costs no byte that was stored, and a second upload sends none at all."""
    path = tmp_path / "data.csv"
    path.write_bytes(DATA)
    servicer = BreakingTransfer(cuts=1)
    seen: list[int] = []
    with serving(servicer) as stub:
        name = upload_file(stub, path, seen.append)
        assert (servicer.data, servicer.received) == (DATA, len(DATA))
        assert upload_file(stub, path) == name
        assert servicer.received == len(DATA)
    assert seen[-1] == len(DATA)


def test_the_name_of_an_upload_follows_content_and_file_name(tmp_path: Path) -> None:
    """The ending tells the format, so the same bytes under another name are another upload."""
    names = []
    for filename in ("a.csv", "a.npz"):
        path = tmp_path / filename
        path.write_bytes(DATA)
        with serving(BreakingTransfer(cuts=0)) as stub:
            names.append(upload_file(stub, path))
    assert len(set(names)) == 2
    assert all(name.startswith("uploads/file-") and len(name) <= 63 for name in names)


def test_empty_and_missing_files_are_refused(tmp_path: Path) -> None:
    """No call is made for a file that cannot be imported."""
    (tmp_path / "empty.csv").touch()
    with serving(BreakingTransfer(cuts=0)) as stub:
        with pytest.raises(CliError, match="empty"):
            upload_file(stub, tmp_path / "empty.csv")
        with pytest.raises(CliError, match="There is no file"):
            upload_file(stub, tmp_path / "none.csv")


def reference(sha256: str) -> artifact_pb2.ArtifactRef:
    return artifact_pb2.ArtifactRef(uri="s3://a/runs/b", sha256=sha256, size_bytes=len(DATA))


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    """The file appears whole, with nothing beside it."""
    path = tmp_path / "weights.safetensors"
    with serving(BreakingTransfer(cuts=1)) as stub:
        download_artifact(stub, reference(hashlib.sha256(DATA).hexdigest()), path)
    assert path.read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_download_leaves_no_file(tmp_path: Path) -> None:
    """Wrong bytes are never taken for the artifact."""
    with serving(BreakingTransfer(cuts=0)) as stub, pytest.raises(CliError, match="damaged"):
        download_artifact(stub, reference("0" * 64), tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle leaves neither half a file nor its hidden part."""

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    artifact = artifact_pb2.ArtifactRef(
        uri="s3://b/k", sha256=hashlib.sha256(DATA).hexdigest(), size_bytes=len(DATA)
    )
    with serving(BreakingTransfer(cuts=0)) as stub, pytest.raises(KeyboardInterrupt):
        download_artifact(stub, artifact, tmp_path / "weights", interrupt)
    assert list(tmp_path.iterdir()) == []
