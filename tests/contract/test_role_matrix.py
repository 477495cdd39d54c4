"""Every RPC with every role, over the wire: who gets in is what the contract says."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from common.config import ServerSettings
from common.identity import ON_BEHALF_OF, Caller, Role
from common.serving.interceptors.roles import allows
from common.serving.server import Service, start_server
from common.testing.server import TOKENS, token_table
from tests.support.roles import required_roles

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
DENIED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
REQUIRED = required_roles()
INVENTED = "/aimass.trainer.v1.TrainingService/InventedMethod"


def method_of(name: str) -> MethodDescriptor:
    """Returns a method by its full name with slashes."""
    return Default().FindMethodByName(name.removeprefix("/").replace("/", "."))


def service_of(descriptor: ServiceDescriptor) -> Service:
    """Returns a service that answers every method with an empty message."""
    handlers = {method.name: handler_of(method) for method in descriptor.methods}
    handlers["InventedMethod"] = handlers[descriptor.methods[0].name]
    generic = grpc.method_handlers_generic_handler(descriptor.full_name, handlers)
    return Service(descriptor.full_name, lambda server: server.add_generic_rpc_handlers((generic,)))


def handler_of(method: MethodDescriptor) -> Handler:
    answer = GetMessageClass(method.output_type)

    async def unary(request: object, context: object) -> Message:
        return answer()

    async def stream(request: object, context: object) -> AsyncIterator[Message]:
        yield answer()

    kind = kind_of(method)
    build = getattr(grpc, f"{kind}_rpc_method_handler")
    built: Handler = build(
        stream if method.server_streaming else unary,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=answer.SerializeToString,
    )
    return built


def kind_of(method: MethodDescriptor) -> str:
    words = {False: "unary", True: "stream"}
    return f"{words[method.client_streaming]}_{words[method.server_streaming]}"


@dataclass(frozen=True)
class Matrix:
    """A server with every RPC of the suite, and a connection to it."""

    channel: grpc.aio.Channel

    async def code(self, name: str, kind: str, token: str, behalf: str = "") -> grpc.StatusCode:
        """Calls a method with an empty request, perhaps for somebody. Returns the code."""
        given = {"authorization": f"Bearer {token}" if token else "", ON_BEHALF_OF: behalf}
        metadata = tuple((key, value) for key, value in given.items() if value)
        call = getattr(self.channel, kind)(name)
        # A message that is written after the refusal makes grpc.aio say INTERNAL of its own.
        request = iter(()) if kind.startswith("stream") else b""
        try:
            answer = call(request, metadata=metadata, timeout=20)
            if kind.endswith("stream"):
                async for _ in answer:
                    pass
            else:
                await answer
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


@pytest.fixture
async def matrix() -> AsyncIterator[Matrix]:
    services = {method_of(name).containing_service.full_name for name in REQUIRED}
    served = [service_of(Default().FindServiceByName(name)) for name in sorted(services)]
    settings = ServerSettings(reflection=False, channelz=False)
    server = await start_server(served, settings, token_table())
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield Matrix(channel)
    await server.stop(0)


def callers() -> Iterator[tuple[Role | None, str]]:
    """Yields every kind of caller with its token."""
    yield from TOKENS.items()
    yield None, ""
    yield None, "unknown"


async def test_every_rpc_lets_in_whom_its_contract_says(matrix: Matrix) -> None:
    """The contract is what the server does: no method of any kind slips past the check."""
    for name, needed in REQUIRED.items():
        kind = kind_of(method_of(name))
        for role, token in callers():
            code = await matrix.code(name, kind, token)
            if role is None:
                expected = grpc.StatusCode.UNAUTHENTICATED
            elif allows(role, needed):
                expected = grpc.StatusCode.OK
            else:
                expected = grpc.StatusCode.PERMISSION_DENIED
            assert code is expected, (name, role, token)


@pytest.mark.parametrize("role", Role)
async def test_a_service_opens_no_rpc_to_whom_it_asks_for(matrix: Matrix, role: Role) -> None:
    """Of every RPC: what somebody may not do is not done for them, and nothing that admins do."""
    behalf = Caller("somebody", role).header
    for name, needed in REQUIRED.items():
        code = await matrix.code(name, kind_of(method_of(name)), TOKENS[Role.SERVICE], behalf)
        is_open = needed is Role.AGENT or (needed is not Role.ADMIN and allows(role, needed))
        assert code is (grpc.StatusCode.OK if is_open else grpc.StatusCode.PERMISSION_DENIED), name


async def test_what_is_in_no_contract_is_closed_to_all(matrix: Matrix) -> None:
    """An RPC that no contract names opens for nobody, not even admins."""
    kind = kind_of(method_of("/aimass.trainer.v1.TrainingService/CreateTrainingRun"))
    for _, token in callers():
        assert await matrix.code(INVENTED, kind, token) in DENIED
