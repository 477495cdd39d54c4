"""The processes of the services: light, and they end without a fuss."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from common.testing.minio import MinioServer

HEAVY = ("numpy", "pyarrow", "duckdb", "PIL", "pandas", "torch", "sklearn")


SERVICES = {
    "catalog": "aimass.catalog.v1.DatasetService",
    "trainer": "aimass.trainer.v1.TrainingService",
}


@pytest.mark.parametrize("service", SERVICES)
def test_service_imports_nothing_heavy(service: str) -> None:
    """What needs numpy or pyarrow runs in job processes, not in the service."""
    code = (
        f"import sys, services.{service}.app, services.{service}.__main__;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("service", SERVICES)
def test_process_starts_serves_and_drains(
    service: str, minio_server: MinioServer, tmp_path: Path
) -> None:
    """The process answers health checks, stays under 120 MB, and ends at SIGTERM without a fuss."""
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({"tokens": [{"token": "t", "subject": "s", "role": "admin"}]}))
    tokens.chmod(0o600)
    store = minio_server.new_store()
    settings = minio_server.settings
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"],
            env={
                **os.environ,
                "AIMASS_S3_ENDPOINT": settings.endpoint,
                "AIMASS_S3_ACCESS_KEY": settings.access_key,
                "AIMASS_S3_SECRET_KEY": settings.secret_key,
                "AIMASS_S3_BUCKET": store.bucket,
                "AIMASS_TOKEN_FILE": str(tokens),
                "AIMASS_PORT": "0",
            },
            stderr=output,
        )
    try:
        address = _address(process, log, service)
        with grpc.insecure_channel(address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", SERVICES[service]):
                answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert psutil.Process(process.pid).memory_info().rss < 120 * 2**20
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def _address(process: "subprocess.Popen[bytes]", log: Path, service: str) -> str:
    """Returns where the process listens, once it says so."""
    marker = f"{service} listens on "
    while process.poll() is None:
        for line in log.read_text().splitlines():
            message = str(json.loads(line).get("message", ""))
            if message.startswith(marker):
                return message.removeprefix(marker)
        time.sleep(0.02)
    raise AssertionError(log.read_text())
