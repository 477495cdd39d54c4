"""Files into and out of the suite, in chunks, resumed where they broke off."""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc

from aimass.catalog.v1 import transfer_pb2
from aimass.catalog.v1.transfer_pb2_grpc import TransferServiceStub
from aimass.type.v1 import artifact_pb2
from common.cli.errors import CliError
from common.host.disk import telling_full_disk

CHUNK_BYTES = 256 * 1024
_GIVE_UP_SECONDS = 60.0
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def nobody(done: int) -> None:
    """Takes no notice of progress."""


def upload_file(
    stub: TransferServiceStub, path: Path, progress: Callable[[int], None] = nobody
) -> str:
    """Uploads a file; one that is there already, whole or in part, is not sent again.

    Args:
        stub: The catalog's transfer service.
        path: The file.
        progress: Called with the number of bytes sent so far.

    Returns:
        Resource name of the complete upload.

    Raises:
        CliError: The file is missing or empty.
        grpc.RpcError: The catalog refuses it, or did not answer for a minute.
    """
    if not path.is_file():
        raise CliError(f"There is no file {path}.")
    size = path.stat().st_size
    if not size:
        raise CliError(f"{path} is empty.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # The same file gets the same name, so that a second try goes on where the first stopped.
    key = hashlib.sha256(f"{digest} {path.name}".encode()).hexdigest()
    header = transfer_pb2.UploadHeader(
        name=f"uploads/file-{key[:40]}", total_bytes=size, sha256=digest, filename=path.name
    )
    return _send(stub, path, header, progress)


def _send(
    stub: TransferServiceStub,
    path: Path,
    header: transfer_pb2.UploadHeader,
    progress: Callable[[int], None],
) -> str:
    last_progress, committed = time.monotonic(), -1
    while True:
        try:
            known = _find(stub, header.name)
            if known.complete:
                progress(header.total_bytes)
                return header.name
            if known.committed_bytes > committed:
                last_progress, committed = time.monotonic(), known.committed_bytes
            header.offset = known.committed_bytes
            return stub.WriteUpload(_messages(path, header, progress)).name
        except grpc.RpcError as error:
            if not _is_passing(error) or time.monotonic() - last_progress > _GIVE_UP_SECONDS:
                raise
            time.sleep(0.3)


def _find(stub: TransferServiceStub, name: str) -> transfer_pb2.Upload:
    try:
        return stub.GetUpload(transfer_pb2.GetUploadRequest(name=name))
    except grpc.RpcError as error:
        if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.NOT_FOUND:
            return transfer_pb2.Upload(name=name)
        raise


def _messages(
    path: Path, header: transfer_pb2.UploadHeader, progress: Callable[[int], None]
) -> Iterator[transfer_pb2.WriteUploadRequest]:
    yield transfer_pb2.WriteUploadRequest(header=header)
    done = header.offset
    with path.open("rb") as file:
        file.seek(done)
        while chunk := file.read(CHUNK_BYTES):
            yield transfer_pb2.WriteUploadRequest(chunk=chunk)
            done += len(chunk)
            progress(done)


def download_artifact(
    stub: TransferServiceStub,
    artifact: artifact_pb2.ArtifactRef,
    path: Path,
    progress: Callable[[int], None] = nobody,
) -> None:
    """Downloads an artifact; the file appears once it is whole and its digest is right.

    Args:
        stub: The catalog's transfer service.
        artifact: What to download.
        path: The file to write.
        progress: Called with the number of bytes received so far.

    Raises:
        CliError: What arrived has another digest.
        DiskFullError: There is no room for the file.
        grpc.RpcError: The catalog refuses it, or did not answer for a minute.
    """
    partial = path.with_name(f".{path.name}.part")
    partial.unlink(missing_ok=True)
    try:
        with telling_full_disk(path.parent):
            _receive_whole(stub, artifact, partial, progress)
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != artifact.sha256:
            raise CliError(f"{artifact.uri} arrived damaged: its SHA-256 is {digest}.")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _receive_whole(
    stub: TransferServiceStub,
    artifact: artifact_pb2.ArtifactRef,
    partial: Path,
    progress: Callable[[int], None],
) -> None:
    last_progress, done = time.monotonic(), 0
    while True:
        try:
            return _receive(stub, artifact, partial, progress)
        except grpc.RpcError as error:
            arrived = partial.stat().st_size if partial.exists() else 0
            if arrived > done:
                last_progress, done = time.monotonic(), arrived
            if not _is_passing(error) or time.monotonic() - last_progress > _GIVE_UP_SECONDS:
                raise
            time.sleep(0.3)


def _receive(
    stub: TransferServiceStub,
    artifact: artifact_pb2.ArtifactRef,
    partial: Path,
    progress: Callable[[int], None],
) -> None:
    with partial.open("ab") as file:
        request = transfer_pb2.ReadArtifactRequest(artifact=artifact, offset=file.tell())
        for response in stub.ReadArtifact(request):
            file.write(response.chunk)
            if response.chunk:
                progress(file.tell())


def _is_passing(error: grpc.RpcError) -> bool:
    return isinstance(error, grpc.Call) and error.code() in _PASSING
