"""One shape for all server interceptors: a context manager around a call."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError, Message

from common.errors import InvalidFieldError

Context: TypeAlias = "grpc.aio.ServicerContext[Message, Message]"
Unary: TypeAlias = Callable[[object, Context], Awaitable[Message]]
Stream: TypeAlias = Callable[[object, Context], AsyncIterator[Message]]


@dataclass(frozen=True)
class Call:
    """What is known of a call before it runs.

    Attributes:
        method: Full name, for example `/aimass.trainer.v1.TrainingService/GetTrainingRun`.
        metadata: Text metadata of the caller by lower-case key.
    """

    method: str
    metadata: Mapping[str, str]


class CallInterceptor(ABC):
    """Wraps unary calls and the iteration of streams alike."""

    @abstractmethod
    def around(self, call: Call, context: Context) -> AbstractAsyncContextManager[None]:
        """Returns what runs before and after the call; errors of the call pass through it."""


class Chain(grpc.aio.ServerInterceptor):
    """All interceptors of a server as one: grpc would build each handler anew for every call."""

    def __init__(self, interceptors: Sequence[CallInterceptor]) -> None:
        """Prepares.

        Args:
            interceptors: The outermost first.
        """
        self._interceptors = tuple(interceptors)
        self._wrapped: dict[str, tuple[grpc.RpcMethodHandler, grpc.RpcMethodHandler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Replaces the handler's behaviour by one that runs inside all interceptors."""
        handler = await continuation(handler_call_details)
        if handler is None:  # no such method: grpc answers UNIMPLEMENTED
            return handler
        method = handler_call_details.method
        origin, wrapped = self._wrapped.get(method, (None, handler))
        if origin is not handler:
            wrapped = self._wrap(method, handler)
            self._wrapped[method] = (handler, wrapped)
        return wrapped

    def _wrap(self, method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
        kind = next(kind for kind in kinds if getattr(handler, kind) is not None)
        wrap = self._stream if kind.endswith("stream") else self._unary
        build = getattr(grpc, f"{kind}_rpc_method_handler")
        wrapped: grpc.RpcMethodHandler = build(
            wrap(method, getattr(handler, kind)),
            request_deserializer=_lenient(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )
        return wrapped

    def _unary(self, method: str, behavior: Unary) -> Unary:
        async def wrapped(request: object, context: Context) -> Message:
            async with AsyncExitStack() as stack:
                await self._enter(stack, method, context)
                return await behavior(_readable(request), context)

        return wrapped

    def _stream(self, method: str, behavior: Stream) -> Stream:
        async def wrapped(request: object, context: Context) -> AsyncIterator[Message]:
            async with AsyncExitStack() as stack:
                await self._enter(stack, method, context)
                async for response in behavior(_readable(request), context):
                    yield response

        return wrapped

    async def _enter(self, stack: AsyncExitStack, method: str, context: Context) -> None:
        call = Call(method, _text(context.invocation_metadata()))
        for interceptor in self._interceptors:
            await stack.enter_async_context(interceptor.around(call, context))


@dataclass(frozen=True)
class _Unreadable:
    """Stands for a request that is no message: grpc itself would call it an error of the server."""

    reason: str


def _lenient(deserialize: Callable[[bytes], object] | None) -> Callable[[bytes], object] | None:
    if deserialize is None:
        return None

    def read(data: bytes) -> object:
        try:
            return deserialize(data)
        except DecodeError as error:
            return _Unreadable(str(error))

    return read


def _readable(request: object) -> object:
    """Returns a request, or a stream of them, in which what cannot be read raises."""
    if isinstance(request, _Unreadable):
        raise InvalidFieldError(
            "request",
            f"It is no message of the method's type ({request.reason}); generate stubs from the "
            "server's protos.",
            reason="MALFORMED_REQUEST",
        )
    return _readable_stream(request) if isinstance(request, AsyncIterator) else request


async def _readable_stream(requests: AsyncIterator[object]) -> AsyncIterator[object]:
    async for request in requests:
        yield _readable(request)


def _text(metadata: object) -> dict[str, str]:
    pairs = cast(Iterable[tuple[str, str | bytes]], metadata or ())
    return {key: value for key, value in pairs if isinstance(value, str)}
