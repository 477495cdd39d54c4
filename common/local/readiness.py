"""When a service or an agent is ready."""

from collections.abc import Awaitable, Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from common.tls import Options, TlsFiles

_TIMEOUT_SECONDS = 2.0
_SILENCE = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
# Each question opens a connection of its own: a channel that was refused once would wait.
_OPTIONS: Options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]


def serving_at(address: str) -> Callable[[int], Awaitable[bool]]:
    """Returns a check whether the gRPC server at `address` says SERVING."""

    async def check(pid: int) -> bool:
        async with TlsFiles.from_environment().aio_channel(address, _OPTIONS) as channel:
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_SECONDS
                )
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return check


def answers_at(address: str) -> Callable[[float], Awaitable[bool]]:
    """Returns a check whether the gRPC server at `address` answers in time, whatever it says."""

    async def check(seconds: float) -> bool:
        async with TlsFiles.from_environment().aio_channel(address, _OPTIONS) as channel:
            try:
                await health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=seconds
                )
            except grpc.aio.AioRpcError as error:
                return error.code() not in _SILENCE
        return True

    return check


def joined_at(address: str, token: str, agent: str) -> Callable[[int], Awaitable[bool]]:
    """Returns a check whether the trainer at `address` lists the agent, ready to fork workers.

    An agent has no slots before it has imported torch.
    """

    async def check(pid: int) -> bool:
        async with TlsFiles.from_environment().aio_channel(address, _OPTIONS) as channel:
            try:
                answer = await trainer_pb2_grpc.TrainingServiceStub(channel).ListAgents(
                    trainer_pb2.ListAgentsRequest(),
                    metadata=[("authorization", f"Bearer {token}")],
                    timeout=_TIMEOUT_SECONDS,
                )
            except grpc.aio.AioRpcError:
                return False
        return any(
            entry.id == agent and entry.pid == pid and entry.slots > 0 for entry in answer.agents
        )

    return check
