"""What every service stands on: calls, the artifact store, start and memory.

Part of `make bench NAME=catalog`; alone it is `python -m tests.benchmarks.catalog.foundation`.
"""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import grpc
import minio
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from common import telemetry
from common.artifacts.blobs import fetch_artifact, put_artifact
from common.identity import Role
from common.serving.server import Service
from common.telemetry import tracecontext
from common.testing.minio import MinioServer
from common.testing.processes import service_process
from common.testing.server import TOKENS, running_server
from tests.benchmarks.harness import Aim, Measure, interleave, publish, repeats, say

NOTES = (
    "Calls: one caller over loopback, both servers in turn; bare is grpc.aio with the same "
    "handler and neither token, trace, log line nor error details.",
    "The store: 256 MB from file to file through one MinIO, all in memory; ours with SHA-256 on "
    "the way (0.3 s of a processor), theirs the minio SDK's fput_object and fget_object.",
)
_NAME = "aimass.trainer.v1.TrainingService"
# A disk that is busy with something else would decide every round.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
_BYTES = 256 * 1024 * 1024
_CALL = Aim(ratio=1.5)
_STORE = Aim(ratio=1 / 0.9)


def measures() -> list[Measure]:
    """Measures everything. Takes about two minutes."""
    found = calls()
    with tempfile.TemporaryDirectory(prefix="aimass-bench-", dir=_MEMORY) as name:
        folder = Path(name)
        server = MinioServer(folder / "minio")
        server.start()
        try:
            found += store(server, folder)
            found += services(server, folder)
        finally:
            server.stop()
    return found


def calls() -> list[Measure]:
    """Measures unary calls through all interceptors against a bare server."""
    count = repeats(6000, 300)
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    with contextlib.ExitStack() as stack:
        stubs = {kind: stack.enter_context(_called(kind)) for kind in times}
        metadata: tuple[tuple[str, str | bytes], ...] = (
            ("authorization", f"Bearer {TOKENS[Role.VIEWER]}"),
            (tracecontext.HEADER, tracecontext.new_traceparent()),
        )
        request = trainer_pb2.GetTrainingRunRequest(name="trainingRuns/bench")
        for number in range(count + count // 10):
            for kind, stub in stubs.items():
                began = time.perf_counter()
                stub.GetTrainingRun(request, metadata=metadata)
                if number >= count // 10:  # the first are for warming up
                    times[kind].append((time.perf_counter() - began) * 1000)
    ours, bare = times["ours"], times["bare"]
    middle = Measure.of(
        "unary call, median ms", statistics.median(ours), statistics.median(bare), _CALL
    )
    return [middle, Measure.of("unary call, p99 ms", _p99(ours), _p99(bare), _CALL)]


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


@contextmanager
def _called(kind: str) -> Iterator[trainer_pb2_grpc.TrainingServiceStub]:
    command = [sys.executable, "-m", "tests.benchmarks.catalog.foundation", kind]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        with grpc.insecure_channel(process.stdout.readline().strip()) as channel:
            yield trainer_pb2_grpc.TrainingServiceStub(channel)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class _Servicer(trainer_pb2_grpc.TrainingServiceServicer):
    async def GetTrainingRun(  # noqa: N802
        self, request: trainer_pb2.GetTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        return trainer_pb2.TrainingRun(name=request.name)


async def _serve(kind: str) -> None:
    """Serves one kind of server until it is killed; prints its address."""

    def register(server: grpc.aio.Server) -> None:
        servicer = _Servicer()  # type: ignore[abstract]
        trainer_pb2_grpc.add_TrainingServiceServicer_to_server(servicer, server)

    if kind == "ours":
        telemetry.configure("bench")
        async with running_server([Service(_NAME, register)]) as address:
            print(address, flush=True)
            await asyncio.Event().wait()
    server = grpc.aio.server()
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def store(server: MinioServer, folder: Path) -> list[Measure]:
    """Measures put and get of a large artifact against the bare SDK."""
    ours = server.new_store(60.0)
    settings = server.settings
    theirs = minio.Minio(
        settings.endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=False,
        region=settings.region,
    )
    source, target = folder / "source", folder / "target"
    block = os.urandom(1024 * 1024)
    with source.open("wb") as file:
        for _ in range(_BYTES // len(block)):
            file.write(block)
    reference = put_artifact(ours, "bench/ours", source, "application/octet-stream")
    theirs.fput_object(ours.bucket, "bench/theirs", str(source))

    def put_ours(number: int) -> float:
        return _timed(lambda: put_artifact(ours, "bench/ours", source, "application/octet-stream"))

    def put_theirs(number: int) -> float:
        return _timed(lambda: theirs.fput_object(ours.bucket, "bench/theirs", str(source)))

    def get_ours(number: int) -> float:
        return _timed(lambda: fetch_artifact(ours, reference, target))

    def get_theirs(number: int) -> float:
        return _timed(lambda: theirs.fget_object(ours.bucket, "bench/theirs", str(target)))

    rounds = repeats(7, 1)
    puts = interleave({"ours": put_ours, "theirs": put_theirs}, rounds)
    gets = interleave({"ours": get_ours, "theirs": get_theirs}, rounds)
    return [_compared("put of 256 MB, s", puts), _compared("get of 256 MB, s", gets)]


def _compared(measure: str, times: Mapping[str, list[float]]) -> Measure:
    return Measure.of(
        measure, statistics.median(times["ours"]), statistics.median(times["theirs"]), _STORE
    )


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def services(server: MinioServer, folder: Path) -> list[Measure]:
    """Measures how fast the services start, and what they hold when idle."""
    found: list[Measure] = []
    for service in ("catalog", "trainer"):
        started, held = [], []
        for number in range(repeats(5, 1)):
            own = folder / f"{service}-{number}"
            own.mkdir()
            began = time.perf_counter()
            with service_process(service, server, own) as running:
                _await_serving(running.said(f"{service} listens on "))
                started.append(time.perf_counter() - began)
                time.sleep(2.0)  # until its first looks at the store are over
                held.append(psutil.Process(running.process.pid).memory_info().rss / 2**20)
        found.append(
            Measure.of(f"{service}: start, s", statistics.median(started), None, Aim(at_most=2))
        )
        found.append(Measure.of(f"{service}: idle memory, MB", max(held), None, Aim(at_most=120)))
    return found


def _await_serving(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=10, wait_for_ready=True
        )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def main() -> None:
    """Measures and prints the table, or serves for `calls`."""
    if len(sys.argv) > 1:
        asyncio.run(_serve(sys.argv[1]))
        return
    say("Measuring the foundation")
    publish("foundation", measures(), NOTES)


if __name__ == "__main__":
    main()
