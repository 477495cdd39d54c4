"""The one way to call a service."""

import json
import random
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from aimass.type.v1 import event_pb2, method_pb2
from common import contracts
from common.identity import ON_BEHALF_OF, asking
from common.peers import PeerError
from common.telemetry import tracecontext
from common.tls import TlsFiles

DEADLINE_SECONDS = 30.0
_WATCH_SECONDS = 30.0

# Pings keep long streams alive and find dead peers; the server's limits allow this rate.
_OPTIONS = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.enable_retries", 1),
    # A service that restarts is back in about a second: look often.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]

_RETRY_POLICY = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def is_retried(method: MethodDescriptor) -> bool:
    """Returns whether a method is called again by itself.

    A Create without a request id is given one below. Streams are taken up again by `watch`, or by
    whoever feeds them, who know where they broke off; gRPC's own retries would buffer what is sent
    and begin anew.
    """
    is_stream = method.client_streaming or method.server_streaming
    return not is_stream and not method.GetOptions().Extensions[method_pb2.never_retried]


@cache
def service_config() -> str:
    """Returns the service config: retries of UNAVAILABLE, five attempts in about three seconds."""
    once = [
        {"service": method.containing_service.full_name, "method": method.name}
        for method in contracts.methods()
        if not is_retried(method)
    ]
    retried = {"name": [{}], "retryPolicy": _RETRY_POLICY}
    return json.dumps({"methodConfig": [retried, {"name": once}]})


def options() -> list[tuple[str, str | int]]:
    """Returns the options of every channel."""
    return [*_OPTIONS, ("grpc.service_config", service_config())]


@dataclass(frozen=True)
class _CallDetails(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...] | None
    credentials: grpc.CallCredentials | None = None
    wait_for_ready: bool | None = None
    compression: grpc.Compression | None = None


def call_metadata(token: str) -> list[tuple[str, str | bytes]]:
    """Returns what every call carries: the token, its trace and, of services, who asked."""
    traceparent = tracecontext.current_traceparent() or tracecontext.new_traceparent()
    who = asking()
    return [
        ("authorization", f"Bearer {token}"),
        (tracecontext.HEADER, traceparent),
        *([(ON_BEHALF_OF, who.header)] if who is not None else []),
    ]


def _repeatable(request: Any) -> Any:
    """Returns the request with a request id, where its kind has one and the caller gave none."""
    if "request_id" not in request.DESCRIPTOR.fields_by_name or request.request_id:
        return request
    identified = type(request)()
    identified.CopyFrom(request)
    identified.request_id = str(uuid.uuid4())
    return identified


class _SyncDefaults(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds token, trace and, to unary calls, a deadline."""

    def __init__(self, token: str) -> None:
        self._token = token

    def _with_defaults(
        self, details: grpc.ClientCallDetails, deadline: float | None
    ) -> _CallDetails:
        metadata = (*(details.metadata or ()), *call_metadata(self._token))
        return _CallDetails(
            details.method,
            details.timeout or deadline,
            metadata,
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        details = self._with_defaults(client_call_details, DEADLINE_SECONDS)
        return continuation(details, _repeatable(request))

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return continuation(self._with_defaults(client_call_details, None), request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._with_defaults(client_call_details, None), request_iterator)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._with_defaults(client_call_details, None), request_iterator)


def _aio_details(
    details: grpc.aio.ClientCallDetails, token: str, deadline: float | None
) -> grpc.aio.ClientCallDetails:
    metadata = grpc.aio.Metadata(*(details.metadata or ()), *call_metadata(token))
    return grpc.aio.ClientCallDetails(
        details.method,
        details.timeout or deadline,
        metadata,
        details.credentials,
        details.wait_for_ready,
    )


class _AioUnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        details = _aio_details(client_call_details, self._token, DEADLINE_SECONDS)
        call = await continuation(details, _repeatable(request))
        try:
            await call  # its answer is kept for the caller
        except grpc.aio.AioRpcError as error:
            raise PeerError(error, details.method) from None
        return call


class _AioUnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(_aio_details(client_call_details, self._token, None), request)


class _AioStreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        details = _aio_details(client_call_details, self._token, None)
        return await continuation(details, request_iterator)


class _AioStreamStream(grpc.aio.StreamStreamClientInterceptor):
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        details = _aio_details(client_call_details, self._token, None)
        return await continuation(details, request_iterator)


def connect(address: str, token: str, tls: TlsFiles | None = None) -> grpc.aio.Channel:
    """Opens an asyncio channel.

    Args:
        address: `host:port`.
        token: Bearer token to show.
        tls: What secures it; by default what `AIMASS_TLS_*` in the environment name.

    Returns:
        A channel with retries, keepalive, token, trace context, and a deadline of 30 s on unary
        calls that set none.

    Raises:
        TlsError: The environment's files do not fit together.
    """
    kinds = (_AioUnaryUnary, _AioUnaryStream, _AioStreamUnary, _AioStreamStream)
    interceptors: Any = [kind(token) for kind in kinds]
    files = tls or TlsFiles.from_environment()
    return files.aio_channel(address, options(), interceptors)


def connect_sync(address: str, token: str, tls: TlsFiles | None = None) -> grpc.Channel:
    """Opens a channel for plain threads; see `connect`."""
    channel = (tls or TlsFiles.from_environment()).channel(address, options())
    return grpc.intercept_channel(channel, _SyncDefaults(token))


R = TypeVar("R", bound=Message)


class WatchMethod(Protocol):
    """A stub's watch method."""

    def __call__(self, request: Any, *, timeout: float) -> Iterable[event_pb2.Event]:
        """Calls it with a deadline in seconds."""
        ...


def watch(call: WatchMethod, request: R, give_up_after: float = 60.0) -> Iterator[event_pb2.Event]:
    """Follows a run over broken connections, without a gap or a repeat.

    Args:
        call: The stub's watch method; called anew each half minute, so that a call whose end gets
            lost with its server is not waited for.
        request: Its request, which must have `after_sequence`.
        give_up_after: Seconds without a connection after which the error is raised.

    Yields:
        Stored events, in order, until the run has ended. Heartbeats are left out.
    """
    current = type(request)()
    current.CopyFrom(request)
    last_heard = time.monotonic()
    while True:
        try:
            for event in call(current, timeout=_WATCH_SECONDS):
                last_heard = time.monotonic()
                if event.sequence:
                    current.after_sequence = event.sequence  # type: ignore[attr-defined]
                    yield event
        except grpc.RpcError as error:
            if not _is_passing(error) or time.monotonic() - last_heard > give_up_after:
                raise
            time.sleep(random.uniform(0.1, 0.5))
        else:
            return


def _is_passing(error: grpc.RpcError) -> bool:
    passing = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return isinstance(error, grpc.Call) and error.code() in passing
