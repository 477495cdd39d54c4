"""The processes of the services: light, and they end without a fuss."""

import subprocess
import sys
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from common.identity import Role
from common.services import SERVICE_PORTS
from common.testing.minio import MinioServer
from common.testing.processes import service_process
from tests.support.roles import required_roles

HEAVY = ("numpy", "pyarrow", "duckdb", "PIL", "pandas", "torch", "sklearn", "lightgbm")


def served_by(service: str) -> list[str]:
    """Returns the gRPC services that people call in a process."""
    people = (each for each, role in required_roles().items() if role is not Role.AGENT)
    names = {method.split("/")[1] for method in people}
    return sorted(name for name in names if name.startswith(f"aimass.{service}.v1."))


@pytest.mark.parametrize("service", SERVICE_PORTS)
def test_service_imports_nothing_heavy(service: str) -> None:
    """What needs numpy or pyarrow runs in job processes, not in the service."""
    code = (
        f"import sys, services.__main__, services.{service}.app;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("service", SERVICE_PORTS)
def test_process_starts_serves_and_drains(
    service: str, minio_server: MinioServer, tmp_path: Path
) -> None:
    """The process answers health checks, stays under 120 MB, and ends at SIGTERM without a fuss."""
    with service_process(service, minio_server, tmp_path) as running:
        address = running.said(f"{service} listens on ")
        with grpc.insecure_channel(address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", *served_by(service)):
                answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert psutil.Process(running.process.pid).memory_info().rss < 120 * 2**20
        running.process.terminate()
        assert running.process.wait(20) == 0, running.log.read_text()


@pytest.mark.timeout(60)
def test_a_wrong_setup_is_refused_in_one_line(minio_server: MinioServer, tmp_path: Path) -> None:
    """Whoever starts a service with half a certificate reads the cure, not a traceback."""
    wrong = {"AIMASS_TLS_CERT_FILE": str(tmp_path / "log")}
    with service_process("catalog", minio_server, tmp_path, wrong) as running:
        assert running.process.wait(20) == 1
        words = running.log.read_text()
    assert "cannot start: AIMASS_TLS_CERT_FILE and AIMASS_TLS_KEY_FILE go together" in words
    assert "Traceback" not in words


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["catalog", "trainer"]])
def test_whoever_names_no_service_reads_which_there_are(arguments: list[str]) -> None:
    """A misspelt command of a container says what it may be, in one line."""
    command = [sys.executable, "-m", "services", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("usage: python -m services {catalog,trainer,")
