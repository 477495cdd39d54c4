"""TransferService: check, convert, call, return."""

import asyncio
from collections.abc import AsyncIterator

from aimass.catalog.v1 import transfer_pb2, transfer_pb2_grpc
from common.artifacts import ObjectStore
from common.errors import InvalidFieldError
from common.names import UploadName
from common.protobuf import timedelta_of
from services.catalog.domain.artifacts import Sign, describe, download_address, read_from
from services.catalog.domain.uploads import Uploads, UploadWriter

_READ_CHUNK_BYTES = 256 * 1024


class TransferServicer(transfer_pb2_grpc.TransferServiceServicer):
    """Bytes into and out of the store."""

    def __init__(self, store: ObjectStore, uploads: Uploads, sign: Sign) -> None:
        """Serves from these parts; `sign` makes addresses to download from."""
        self._store = store
        self._uploads = uploads
        self._sign = sign

    async def WriteUpload(
        self, requests: AsyncIterator[transfer_pb2.WriteUploadRequest], context: object
    ) -> transfer_pb2.Upload:
        """Takes an upload in chunks."""
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("content") != "header":
            raise InvalidFieldError("header", "the first message must carry the header")
        begun = await asyncio.to_thread(self._uploads.begin, first.header)
        if isinstance(begun, transfer_pb2.Upload):
            return begun
        try:
            return await _receive(begun, requests)
        finally:
            self._uploads.end(begun)

    async def GetUpload(
        self, request: transfer_pb2.GetUploadRequest, context: object
    ) -> transfer_pb2.Upload:
        """Returns how much of an upload is stored."""
        name = UploadName.from_name(request.name).name
        return await asyncio.to_thread(self._uploads.get, name)

    async def ReadArtifact(
        self, request: transfer_pb2.ReadArtifactRequest, context: object
    ) -> AsyncIterator[transfer_pb2.ReadArtifactResponse]:
        """Streams an artifact: the reference first, then its bytes."""
        ref = await asyncio.to_thread(describe, self._store, request.artifact, "artifact")
        chunks = read_from(self._store, ref, request.offset)
        first = await asyncio.to_thread(next, chunks, b"")
        yield transfer_pb2.ReadArtifactResponse(artifact=ref)
        while first:
            for start in range(0, len(first), _READ_CHUNK_BYTES):
                part = first[start : start + _READ_CHUNK_BYTES]
                yield transfer_pb2.ReadArtifactResponse(chunk=part)
            first = await asyncio.to_thread(next, chunks, b"")

    async def CreateArtifactUrl(
        self, request: transfer_pb2.CreateArtifactUrlRequest, context: object
    ) -> transfer_pb2.CreateArtifactUrlResponse:
        """Returns an address from which an artifact can be downloaded."""
        lifetime = None
        if request.HasField("lifetime"):
            lifetime = timedelta_of(request.lifetime, "lifetime")
        address = await asyncio.to_thread(
            download_address, self._store, request.artifact, lifetime, self._sign
        )
        response = transfer_pb2.CreateArtifactUrlResponse(url=address.url)
        response.expire_time.FromDatetime(address.expires)
        return response


async def _receive(
    writer: UploadWriter, requests: AsyncIterator[transfer_pb2.WriteUploadRequest]
) -> transfer_pb2.Upload:
    async for message in requests:
        if message.WhichOneof("content") != "chunk":
            raise InvalidFieldError("chunk", "every message after the first must carry a chunk")
        if writer.add(message.chunk):
            await asyncio.to_thread(writer.flush)
    return await asyncio.to_thread(writer.finish)
