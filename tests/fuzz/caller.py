"""Sends whatever the generator makes to every method of a server, found by reflection."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from common.calls import client
from tests.fuzz.errors import ErrorBook
from tests.fuzz.messages import MessageGenerator

_DEADLINE_SECONDS = 20.0
# What grpc.aio says on the client's side when the server has refused a stream while it was written.
_WRITTEN_TOO_LATE = "Internal error from Core"
_UNHEARD = "refused while the request was written"
_CONCURRENT = 16
_MOST_RESPONSES = 3
_PATIENCE_SECONDS = 0.3
_Responses = grpc.aio.UnaryStreamCall[bytes, bytes] | grpc.aio.StreamStreamCall[bytes, bytes]
# The server's fault, or a wait without an end; everything else is an answer.
FAULTS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})


@dataclass(frozen=True)
class Fault:
    """A call that the server did not stand.

    Attributes:
        method: Full name of the method.
        code: What it answered.
        details: The message with it.
        request: The bytes that were sent first.
    """

    method: str
    code: grpc.StatusCode
    details: str
    request: bytes

    def __str__(self) -> str:
        return f"{self.method}: {self.code.name} {self.details[:200]} for {self.request[:200]!r}"


@dataclass
class Report:
    """What came of all calls.

    Attributes:
        codes: How often each status was answered, by method and the status's name.
        faults: The calls that no client should be able to make.
        errors: What was answered in words.
    """

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    errors: ErrorBook = field(default_factory=ErrorBook)

    @property
    def calls(self) -> int:
        """Number of calls."""
        return sum(self.codes.values())


def methods(address: str, token: str, package: str = "aimass.") -> list[MethodDescriptor]:
    """Returns all methods that a server's reflection tells of."""
    with client.connect_sync(address, token) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        names = [name for name in database.get_services() if name.startswith(package)]
        return [method for name in names for method in pool.FindServiceByName(name).methods]


class Fuzzer:
    """Calls methods of one server at random."""

    def __init__(
        self,
        address: str,
        token: str,
        targets: list[MethodDescriptor],
        generator: MessageGenerator,
        chance: random.Random,
    ) -> None:
        """Prepares.

        Args:
            address: Address of the server.
            token: Bearer token that may call everything.
            targets: The methods to call.
            generator: Makes requests.
            chance: Where everything random comes from.
        """
        self._address = address
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._targets = targets
        self._generator = generator
        self._chance = chance
        self.report = Report()

    async def run(self, calls: int, told: Callable[[int], None] = lambda done: None) -> Report:
        """Makes so many calls, some at a time.

        Args:
            calls: Number of calls.
            told: Hears how many are done.
        """
        left = iter(range(calls))
        async with grpc.aio.insecure_channel(self._address) as channel:

            async def work() -> None:
                for number in left:
                    await self._call(channel, self._chance.choice(self._targets))
                    told(number)

            await asyncio.gather(*(work() for _ in range(_CONCURRENT)))
        return self.report

    async def _call(self, channel: grpc.aio.Channel, method: MethodDescriptor) -> None:
        count = self._chance.choice((0, 1, 1, 3)) if method.client_streaming else 1
        requests = [self._generator.encoded(method.input_type) for _ in range(count)]
        path = f"/{method.containing_service.full_name}/{method.name}"
        try:
            await self._send(channel, method, path, requests)
            code, details = grpc.StatusCode.OK, ""
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), error.details() or ""
            if details != _WRITTEN_TOO_LATE:
                self.report.errors.add(path, error)
        if details == _WRITTEN_TOO_LATE:
            self.report.codes[path, _UNHEARD] += 1
            return
        self.report.codes[path, code.name] += 1
        is_stuck = code is grpc.StatusCode.DEADLINE_EXCEEDED and not method.server_streaming
        if code in FAULTS or is_stuck:
            self.report.faults.append(Fault(path, code, details, b"".join(requests)))

    async def _send(
        self,
        channel: grpc.aio.Channel,
        method: MethodDescriptor,
        path: str,
        requests: list[bytes],
    ) -> None:
        async def stream() -> AsyncIterator[bytes]:
            for request in requests:
                yield request

        limit, metadata = _DEADLINE_SECONDS, self._metadata
        if method.client_streaming and method.server_streaming:
            both = channel.stream_stream(path, None, None)
            await _read_some(both(stream(), timeout=limit, metadata=metadata))
        elif method.client_streaming:
            up = channel.stream_unary(path, None, None)
            await up(stream(), timeout=limit, metadata=metadata)
        elif method.server_streaming:
            down = channel.unary_stream(path, None, None)
            await _read_some(down(requests[0], timeout=limit, metadata=metadata))
        else:
            plain = channel.unary_unary(path, None, None)
            await plain(requests[0], timeout=limit, metadata=metadata)


async def _read_some(call: _Responses) -> None:
    """Reads a few responses, then hangs up: a watch may have no end."""
    with contextlib.suppress(TimeoutError):
        for _ in range(_MOST_RESPONSES):
            if not isinstance(await asyncio.wait_for(call.read(), _PATIENCE_SECONDS), bytes):
                break
    call.cancel()
