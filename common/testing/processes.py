"""A service as a process of its own, for tests."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.testing.minio import MinioServer

_START_SECONDS = 30.0


@dataclass(frozen=True)
class ServiceProcess:
    """A running service.

    Attributes:
        process: The process.
        log: What it wrote.
    """

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self, beginning: str) -> str:
        """Waits for a log message with this beginning. Returns the rest of it.

        Raises:
            AssertionError: It ended, or never says so.
        """
        deadline = time.monotonic() + _START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            for line in self.log.read_text().splitlines(keepends=True):
                message = str(json.loads(line).get("message", "")) if line.endswith("}\n") else ""
                if message.startswith(beginning):
                    return message.removeprefix(beginning)
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())


@contextmanager
def service_process(
    service: str, store: MinioServer, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[ServiceProcess]:
    """Starts a service with a bucket of its own, and kills it at the end.

    Args:
        service: Its name, for example `catalog`.
        store: The object store.
        folder: For its log and its tokens: `t` is an admin's.
        environment: Further variables.
    """
    tokens = folder / "tokens.json"
    tokens.write_text(json.dumps({"tokens": [{"token": "t", "subject": "s", "role": "admin"}]}))
    tokens.chmod(0o600)
    variables = {
        "AIMASS_S3_ENDPOINT": store.settings.endpoint,
        "AIMASS_S3_ACCESS_KEY": store.settings.access_key,
        "AIMASS_S3_SECRET_KEY": store.settings.secret_key,
        "AIMASS_S3_BUCKET": store.new_store().bucket,
        "AIMASS_TOKEN_FILE": str(tokens),
        "AIMASS_PORT": "0",
        **(environment or {}),
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services", service],
            env={**os.environ, **variables},
            stderr=output,
        )
    try:
        yield ServiceProcess(process, log)
    finally:
        process.kill()
        process.wait()
