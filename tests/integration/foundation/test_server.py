"""A real server with all interceptors, called over the wire."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from aimass.type.v1 import event_pb2
from common.calls import client
from common.config import ServerSettings
from common.errors import (
    FailedPreconditionError,
    FieldViolation,
    InvalidFieldError,
    InvalidInputError,
    NotFoundError,
)
from common.identity import Role, caller
from common.serving.interceptors import TokenTable
from common.serving.server import Service, start_server
from common.telemetry import tracecontext
from common.testing.server import TOKENS, channel_to, running_server, token_table

NAME = "aimass.trainer.v1.TrainingService"
GRPCURL = Path(sys.executable).with_name("grpcurl")


class Servicer(trainer_pb2_grpc.TrainingServiceServicer):
    """Answers in all the ways a servicer can."""

    async def GetTrainingRun(  # noqa: N802
        self, request: trainer_pb2.GetTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        """Raises or answers by the request's name."""
        if request.name == "missing":
            raise NotFoundError("missing does not exist.")
        if request.name == "broken":
            raise ZeroDivisionError("secret detail")
        if request.name == "wrong":
            raise InvalidInputError.of(
                [FieldViolation(f"spec.{place}" * 9, "\U0010ffff" * 500) for place in range(99)]
            )
        run = trainer_pb2.TrainingRun(name=caller().subject)
        run.status.traceparent = tracecontext.current_traceparent()
        return run

    async def CreateTrainingRun(  # noqa: N802
        self, request: trainer_pb2.CreateTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        """Returns the request id that arrived, as the run's name."""
        return trainer_pb2.TrainingRun(name=request.request_id)

    async def CancelTrainingRun(  # noqa: N802
        self, request: trainer_pb2.CancelTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        """Always refuses."""
        raise FailedPreconditionError("It has ended.")

    async def WatchTrainingRun(  # noqa: N802
        self, request: trainer_pb2.WatchTrainingRunRequest, context: object
    ) -> AsyncIterator[event_pb2.Event]:
        """Sends one event, then fails."""
        yield event_pb2.Event(sequence=1)
        raise InvalidFieldError("after_sequence", "must be smaller.")


def service() -> Service:
    """Returns the test service."""
    servicer = Servicer()  # type: ignore[abstract]  # the rest is never called
    return Service(
        NAME,
        lambda server: trainer_pb2_grpc.add_TrainingServiceServicer_to_server(servicer, server),
    )


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Serves the test servicer."""
    async with running_server([service()]) as served:
        yield served


async def get(address: str, name: str, role: Role = Role.VIEWER) -> trainer_pb2.TrainingRun:
    """Calls GetTrainingRun."""
    async with channel_to(address, role) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        return await stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name=name))


def details(error: grpc.aio.AioRpcError, kind: type[Message]) -> Message:
    """Returns the detail of that kind."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    assert status is not None
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    raise AssertionError(f"no {kind.__name__} in {status}")


async def test_caller_and_trace_reach_the_servicer(address: str) -> None:
    """Records say who created them and which trace they belong to."""
    trace = tracecontext.new_traceparent()
    tracecontext.set_traceparent(trace)
    run = await get(address, "x")
    assert run.name == "viewer"
    assert tracecontext.trace_id(run.status.traceparent) == tracecontext.trace_id(trace)


async def test_domain_error_carries_reason(address: str) -> None:
    """Programs branch on the reason, people read the message."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get(address, "missing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    info = details(caught.value, error_details_pb2.ErrorInfo)
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == ("NOT_FOUND", "aimass")


async def test_unknown_error_does_not_leak(address: str) -> None:
    """Exception texts can hold secrets: callers see none of them."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get(address, "broken")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(caught.value.details()) + str(caught.value.trailing_metadata())


async def test_many_wrong_fields_arrive(address: str) -> None:
    """GRPC takes 8 KiB of error: what has more than that would arrive as another error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get(address, "wrong")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad = details(caught.value, error_details_pb2.BadRequest)
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert bad.field_violations[0].field.startswith("spec.0")
    left = 99 - (len(bad.field_violations) - 1)
    assert bad.field_violations[-1].description.startswith(f"{left} more fields are wrong")


async def test_error_while_a_stream_is_iterated(address: str) -> None:
    """Errors after the first message get the same details as errors before it."""
    received: list[int] = []

    async def follow() -> None:
        async with channel_to(address, Role.VIEWER) as channel:
            stub = trainer_pb2_grpc.TrainingServiceStub(channel)
            async for event in stub.WatchTrainingRun(trainer_pb2.WatchTrainingRunRequest()):
                received.append(event.sequence)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await follow()
    assert received == [1]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad = details(caught.value, error_details_pb2.BadRequest)
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert bad.field_violations[0].field == "after_sequence"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, grpc.StatusCode.UNAUTHENTICATED),
        ("Bearer wrong", grpc.StatusCode.UNAUTHENTICATED),
        (TOKENS[Role.VIEWER], grpc.StatusCode.UNAUTHENTICATED),
        (f"Bearer {TOKENS[Role.VIEWER]}", grpc.StatusCode.PERMISSION_DENIED),
        (f"Bearer {TOKENS[Role.AGENT]}", grpc.StatusCode.PERMISSION_DENIED),
        (f"Bearer {TOKENS[Role.EDITOR]}", grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_tokens(address: str, header: str | None, code: grpc.StatusCode) -> None:
    """A missing, wrong, bare or too low token stops before the servicer; the right one passes."""
    metadata = (("authorization", header),) if header else ()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CancelTrainingRun(
                trainer_pb2.CancelTrainingRunRequest(name="x"), metadata=metadata, timeout=10
            )
    assert caught.value.code() is code


async def test_health_is_open_and_per_service(address: str) -> None:
    """Probes have no token and ask by service name."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ["", NAME]:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def sockets_seen(settings: ServerSettings, role: Role) -> grpc.StatusCode:
    """Asks a server with these settings for its servers by channelz. Returns the code."""
    server = await start_server([service()], settings, token_table())
    try:
        async with channel_to(server.address, role) as channel:
            stub = channelz_pb2_grpc.ChannelzStub(channel)
            await stub.GetServers(channelz_pb2.GetServersRequest(), timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        await server.stop(0)
    return grpc.StatusCode.OK


async def test_channelz_is_for_admins_where_it_is_on() -> None:
    """It shows addresses of all peers, so it is off unless asked for, and then for admins only."""
    shown = ServerSettings(channelz=True)
    assert await sockets_seen(shown, Role.ADMIN) is grpc.StatusCode.OK
    assert await sockets_seen(shown, Role.EDITOR) is grpc.StatusCode.PERMISSION_DENIED
    assert await sockets_seen(ServerSettings(), Role.ADMIN) is grpc.StatusCode.UNIMPLEMENTED


async def test_a_hint_comes_with_the_error(address: str) -> None:
    """Who calls without a token is told the command that shows one."""
    async with client.connect(address, "wrong") as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest())
    found = details(caught.value, error_details_pb2.Help)
    assert isinstance(found, error_details_pb2.Help)
    assert found.links[0].description == 'eval "$(aimass env)"'


async def test_grpcurl_lists_and_describes(address: str) -> None:
    """People debug with grpcurl: reflection works with a viewer's token, comments aside."""

    def grpcurl(*arguments: str) -> str:
        header = f"authorization: Bearer {TOKENS[Role.VIEWER]}"
        command = [str(GRPCURL), "-plaintext", "-H", header, address, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert NAME in await asyncio.to_thread(grpcurl, "list")
    described = await asyncio.to_thread(grpcurl, "describe", f"{NAME}.GetTrainingRun")
    assert "aimass.trainer.v1.TrainingRun" in described


async def test_sync_channel_has_token_and_deadline(address: str) -> None:
    """Plain threads call with the same defaults as asyncio code."""

    def call() -> str:
        with client.connect_sync(address, TOKENS[Role.VIEWER]) as channel:
            stub = trainer_pb2_grpc.TrainingServiceStub(channel)
            return str(stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name="x")).name)

    assert await asyncio.to_thread(call) == "viewer"


async def test_create_is_always_safe_to_repeat(address: str) -> None:
    """The channel repeats a Create whose answer was lost: without an id that would make two."""
    chosen = str(uuid.uuid4())

    def call_sync(request: trainer_pb2.CreateTrainingRunRequest) -> str:
        with client.connect_sync(address, TOKENS[Role.EDITOR]) as channel:
            return str(
                trainer_pb2_grpc.TrainingServiceStub(channel).CreateTrainingRun(request).name
            )

    empty = trainer_pb2.CreateTrainingRunRequest()
    async with channel_to(address, Role.EDITOR) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        given = [(await stub.CreateTrainingRun(empty)).name for _ in range(2)]
        kept = await stub.CreateTrainingRun(trainer_pb2.CreateTrainingRunRequest(request_id=chosen))
    given.append(await asyncio.to_thread(call_sync, empty))
    assert len({uuid.UUID(each) for each in given}) == 3
    assert kept.name == chosen
    assert not empty.request_id, "the caller's message is left as it is"


async def test_call_survives_a_restart_of_the_server() -> None:
    """A service that restarts is no error for its callers: the channel tries again."""
    async with running_server([service()]) as served:
        port = served.rsplit(":", 1)[1]
    async with channel_to(f"127.0.0.1:{port}", Role.VIEWER) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        call = asyncio.ensure_future(
            stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name="x"), wait_for_ready=True)
        )
        async with running_server([service()], port=int(port)):
            assert (await call).name == "viewer"


def test_token_file_must_be_private(tmp_path: Path) -> None:
    """A token file that others can read is refused with the command that mends it."""
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"tokens": [{"token": "t", "subject": "s", "role": "viewer"}]}))
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        TokenTable.from_file(path)
    path.chmod(0o600)
    found = TokenTable.from_file(path).find("t")
    assert found is not None
    assert found.subject == "s"
