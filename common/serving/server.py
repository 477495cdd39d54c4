"""The one way to start a gRPC service."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import cast

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from common import telemetry
from common.config import ServerSettings
from common.host.allocator import limit_fragmentation, spare_collector
from common.serving.interceptors import CallerSource, TokenTable, standard_interceptors
from common.serving.reflection import MethodFindingPool
from common.telemetry import metrics
from common.tls import TlsFiles

_log = logging.getLogger(__name__)

# Calls wait for the store in threads: by default there are as many as processors and four more.
_THREADS = 32
# Pings of clients at most every 10 s are welcome also between calls: agents and watchers live long.
KEEPALIVE_OPTIONS = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 9_000),
    ("grpc.http2.max_ping_strikes", 0),
]


@dataclass(frozen=True)
class Service:
    """A servicer and how to register it.

    Attributes:
        name: Full service name, for example `aimass.trainer.v1.TrainingService`.
        register: Adds the servicer to a server: the generated `add_..._to_server`, bound.
    """

    name: str
    register: Callable[[grpc.aio.Server], None]


class RunningServer:
    """A started server.

    Attributes:
        port: The port it listens on.
        address: `host:port` for clients.
    """

    def __init__(
        self, server: grpc.aio.Server, healthy: HealthServicer, host: str, port: int
    ) -> None:
        self._server = server
        self._health = healthy
        self.port = port
        self.address = f"{host}:{port}"

    async def stop(self, grace: float) -> None:
        """Turns health off, lets open calls end for `grace` seconds, then cuts them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


async def start_server(
    services: Sequence[Service],
    settings: ServerSettings,
    tokens: TokenTable,
    tls: TlsFiles | None = None,
    issuer: CallerSource | None = None,
) -> RunningServer:
    """Starts a server with interceptors and health, and reflection and channelz where set.

    Args:
        services: What it serves.
        settings: Address and switches.
        tokens: Who is let in.
        tls: What secures it; by default what `AIMASS_TLS_*` in the environment name.
        issuer: Knows JSON web tokens.

    Returns:
        The running server; health says SERVING for every service name and the empty one.

    Raises:
        OSError: The port is taken.
        TlsError: The environment's files do not fit together.
    """
    files = tls or TlsFiles.from_environment()
    server = grpc.aio.server(
        interceptors=standard_interceptors(tokens, issuer),
        options=[*KEEPALIVE_OPTIONS, ("grpc.so_reuseport", 0)],
    )
    for service in services:
        service.register(server)
    healthy = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    if settings.channelz:
        from grpc_channelz.v1 import channelz  # noqa: PLC0415

        channelz.add_channelz_servicer(cast(grpc.Server, server))  # takes both kinds
    names = [service.name for service in services]
    if settings.reflection:
        pool = MethodFindingPool()
        reflection.enable_server_reflection(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME],
            server,
            cast(DescriptorPool, pool),
        )
    try:
        port = files.add_port(server, f"{settings.host}:{settings.port}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {settings.host}:{settings.port}: {error}") from None
    await server.start()
    for name in ["", *names]:
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    return RunningServer(server, healthy, settings.host, port)


async def serve(
    name: str,
    settings: ServerSettings,
    app: Callable[[], AbstractAsyncContextManager[Sequence[Service]]],
) -> None:
    """Runs a service process until SIGTERM or SIGINT, then drains it.

    Args:
        name: Name for logs and traces, for example `trainer`.
        settings: The server's settings.
        app: Composition root: an async context manager that yields the services; what it opened is
            closed after the server has drained.

    Raises:
        SystemExit: What the settings name is missing or does not fit together; says the cure.
    """
    limit_fragmentation()
    telemetry.configure(name)
    tls, tokens, issuer = _read_security(settings)
    if settings.metrics_port is not None:
        _log.info("metrics on port %d", _serve_metrics(settings.host, settings.metrics_port))
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "calls"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with app() as services:
        spare_collector()
        server = await start_server(services, settings, tokens, tls, issuer)
        _log.info("%s listens on %s", name, server.address)
        await stopped.wait()
        _log.info("%s drains", name)
        await server.stop(settings.drain_seconds)
    telemetry.flush()


def _serve_metrics(host: str, port: int) -> int:
    try:
        return metrics.serve(host, port)
    except OSError as error:
        raise SystemExit(f"cannot start: metrics on {host}:{port}: {error.strerror}") from None


def _read_security(
    settings: ServerSettings,
) -> tuple[TlsFiles, TokenTable, CallerSource | None]:
    try:
        tls = TlsFiles.from_environment()
        tls.check_server()
        tokens = TokenTable.from_file(settings.token_file) if settings.token_file else None
        return tls, tokens or TokenTable({}), _issuer(settings)
    except (ValueError, OSError) as error:
        raise SystemExit(f"cannot start: {error}") from None


def _issuer(settings: ServerSettings) -> CallerSource | None:
    if not settings.jwt_issuer:
        return None
    # Imported here: its cryptography costs memory that services without an issuer need not pay.
    from common.serving.interceptors.issuer import Issuer  # noqa: PLC0415

    return Issuer(settings)
