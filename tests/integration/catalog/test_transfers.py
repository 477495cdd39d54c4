"""Uploads and downloads through a real server and a real store."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest

from aimass.catalog.v1 import transfer_pb2
from aimass.type.v1 import artifact_pb2
from common.artifacts.blobs import put_artifact
from tests.integration.catalog.harness import (
    Catalog,
    field_of,
    messages,
    reason_of,
    status_of_error,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024


def header_of(content: bytes) -> transfer_pb2.UploadHeader:
    """Returns the header of an upload under a fresh name."""
    return transfer_pb2.UploadHeader(
        name=f"uploads/t-{uuid.uuid4().hex}",
        total_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        filename="f.csv",
    )


def stored(running: Catalog, content: bytes) -> artifact_pb2.ArtifactRef:
    """Puts an artifact where clients may read it."""
    return put_artifact(running.store, f"runs/test/{uuid.uuid4().hex}", content, "text/plain")


async def download(running: Catalog, ref: artifact_pb2.ArtifactRef, offset: int = 0) -> bytes:
    """Reads an artifact; checks the shape of the stream."""
    request = transfer_pb2.ReadArtifactRequest(artifact=ref, offset=offset)
    responses = [response async for response in running.transfers.ReadArtifact(request)]
    assert responses[0].artifact.sha256 == ref.sha256
    assert responses[0].artifact.size_bytes == ref.size_bytes
    chunks = [response.chunk for response in responses[1:]]
    assert all(0 < len(chunk) <= 256 * 1024 for chunk in chunks)
    return b"".join(chunks)


async def committed(running: Catalog, name: str) -> int:
    """Returns how much of an upload is stored; 0 where it has not begun."""
    try:
        upload = await running.transfers.GetUpload(transfer_pb2.GetUploadRequest(name=name))
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
        return 0
    return int(upload.committed_bytes)


async def test_upload_in_two_goes(running: Catalog) -> None:
    """A broken upload of several parts goes on where the store says, and is complete then."""
    content = bytes(range(256)) * (20 * MIB // 256)
    header = header_of(content)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.transfers.WriteUpload(messages(header, content[: 11 * MIB]))
    status = status_of_error(caught.value)
    assert (reason_of(status), field_of(status)) == ("TRUNCATED_UPLOAD", "header.total_bytes")
    request = transfer_pb2.GetUploadRequest(name=header.name)
    upload = await running.transfers.GetUpload(request)
    assert (upload.committed_bytes, upload.complete) == (8 * MIB, False)
    header.offset = upload.committed_bytes
    done = await running.transfers.WriteUpload(messages(header, content))
    assert done.complete
    repeat = await running.transfers.WriteUpload(messages(header, content))
    assert repeat == await running.transfers.GetUpload(request)
    infos = await asyncio.to_thread(lambda: list(running.store.list(f"{header.name}/")))
    assert [info.size for info in infos] == [8 * MIB, 8 * MIB, 4 * MIB]


async def test_connection_that_breaks(running: Catalog) -> None:
    """A cancelled call leaves full parts and nothing that looks complete."""
    content = bytes(9 * MIB)
    header = header_of(content)

    async def stalled() -> AsyncIterator[transfer_pb2.WriteUploadRequest]:
        for message in messages(header, content[:-1]):
            yield message
        await asyncio.Event().wait()

    call = running.transfers.WriteUpload(stalled())
    # What is awaited happens in the store: there is no event for it.
    while await committed(running, header.name) < 8 * MIB:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    call.cancel()
    request = transfer_pb2.GetUploadRequest(name=header.name)
    assert not (await running.transfers.GetUpload(request)).complete
    header.offset = 8 * MIB
    assert (await running.transfers.WriteUpload(messages(header, content))).complete


async def test_wrong_digest(running: Catalog) -> None:
    """Bytes with another digest are refused."""
    header = header_of(b"right")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.transfers.WriteUpload(messages(header, b"wrong"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(status_of_error(caught.value)) == "DIGEST_MISMATCH"


async def test_messages_out_of_order(running: Catalog) -> None:
    """The header comes first and once."""
    chunk = transfer_pb2.WriteUploadRequest(chunk=b"x")
    header = transfer_pb2.WriteUploadRequest(header=header_of(b"xx"))
    for sent, field in [([chunk], "header"), ([], "header"), ([header, header], "chunk")]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.transfers.WriteUpload(iter(sent))
        assert field_of(status_of_error(caught.value)) == field


async def test_unknown_upload(running: Catalog) -> None:
    """An upload that does not exist is NOT_FOUND, a wrong name INVALID_ARGUMENT."""
    for name, code in [
        ("uploads/none", grpc.StatusCode.NOT_FOUND),
        ("uploads/../x", grpc.StatusCode.INVALID_ARGUMENT),
    ]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.transfers.GetUpload(transfer_pb2.GetUploadRequest(name=name))
        assert caught.value.code() is code


async def test_download(running: Catalog) -> None:
    """An artifact comes whole or from an offset, also one that is named by its uri only."""
    content = bytes(range(256)) * 4096 + b"end"
    ref = await asyncio.to_thread(stored, running, content)
    assert await download(running, ref) == content
    assert await download(running, ref, 700_000) == content[700_000:]
    assert await download(running, ref, len(content)) == b""
    request = transfer_pb2.ReadArtifactRequest(artifact=artifact_pb2.ArtifactRef(uri=ref.uri))
    responses = [response async for response in running.transfers.ReadArtifact(request)]
    assert responses[0].artifact.sha256 == ref.sha256


async def test_damaged_artifact_never_arrives_whole(running: Catalog) -> None:
    """Bytes that changed in the store end in DATA_LOSS before the last of them is sent."""
    ref = await asyncio.to_thread(stored, running, bytes(MIB))
    key = ref.uri.split("/", 3)[3]
    await asyncio.to_thread(running.store.write, key, bytes(MIB - 1) + b"x")
    received = 0
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for response in running.transfers.ReadArtifact(
            transfer_pb2.ReadArtifactRequest(artifact=ref)
        ):
            received += len(response.chunk)
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS
    assert received < MIB


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("records/uploads/x.json", grpc.StatusCode.INVALID_ARGUMENT),
        ("runs/../records/x", grpc.StatusCode.INVALID_ARGUMENT),
        ("uploads/x", grpc.StatusCode.INVALID_ARGUMENT),
        ("runs/none", grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_keys_out_of_bounds(running: Catalog, key: str, code: grpc.StatusCode) -> None:
    """Only what lies under runs/ can be read."""
    ref = artifact_pb2.ArtifactRef(uri=f"s3://{running.store.bucket}/{key}")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await download(running, ref)
    assert caught.value.code() is code


async def test_wrong_references(running: Catalog) -> None:
    """Each part of a reference that cannot be right is named."""
    ref = await asyncio.to_thread(stored, running, b"content")
    cases: list[tuple[dict[str, object], str]] = [
        ({"uri": "s3://elsewhere/runs/x"}, "artifact.uri"),
        ({"uri": "file:///etc/passwd"}, "artifact.uri"),
        ({"sha256": "abc"}, "artifact.sha256"),
        ({"size_bytes": 3}, "artifact.size_bytes"),
    ]
    for changed, field in cases:
        wrong = artifact_pb2.ArtifactRef()
        wrong.CopyFrom(ref)
        for name, value in changed.items():
            setattr(wrong, name, value)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await download(running, wrong)
        assert field_of(status_of_error(caught.value)) == field
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await download(running, ref, 8)
    assert field_of(status_of_error(caught.value)) == "offset"
