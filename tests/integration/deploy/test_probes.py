"""What a platform asks for: a bucket that is there, health that can be asked."""

import asyncio
import socket
import subprocess
import sys

from common.artifacts.bucket import ensure_bucket
from common.artifacts.opening import open_store
from common.config import ServerSettings
from common.testing.minio import MinioServer
from services.trainer.agent.health import serve_health


def test_bucket_is_made_once(minio_server: MinioServer) -> None:
    """Every pod asks for the bucket at its start; only the first finds it missing."""
    settings = minio_server.settings.model_copy(update={"bucket": "deployed"})
    for _ in range(2):
        ensure_bucket(settings, wait=10)
    open_store(settings).create("key", b"value")


async def test_agent_is_healthy_once_it_is_ready() -> None:
    """A probe fails before the agent can fork workers, and passes from then on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ready = asyncio.Event()
    health = asyncio.create_task(serve_health(ServerSettings(port=port), ready))
    command = [sys.executable, "-m", "common.local.healthcheck", f"127.0.0.1:{port}"]
    before = await asyncio.to_thread(subprocess.run, command, check=False)
    ready.set()
    after = await asyncio.to_thread(subprocess.run, command, check=False)
    health.cancel()
    await asyncio.gather(health, return_exceptions=True)
    assert (before.returncode, after.returncode) == (1, 0)
