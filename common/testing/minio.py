"""A real MinIO for tests."""

import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

from common.artifacts import ObjectStore
from common.artifacts.opening import UNARY_PATIENCE, open_store
from common.artifacts.s3 import S3Store
from common.artifacts.settings import StoreSettings
from common.errors import UnavailableError
from common.local.store import find_minio

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02
# In a user namespace nobody needs to be root for it.
_OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount() -> bool:
    """Whether this user can give a process a disk of its own: some containers forbid it."""
    command = [*_OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class MinioServer:
    """A MinIO server of one test session, on a free port of 127.0.0.1.

    Attributes:
        settings: How to reach it; the same over stop and start.
    """

    def __init__(self, folder: Path, room: int = 0) -> None:
        """Prepares a server; `start` runs it.

        Args:
            folder: Where it keeps its data and its log.
            room: Size in bytes of a disk of its own, in memory, for the data, which goes with the
                server; 0 for that of the folder. See `can_mount`.

        Raises:
            RuntimeError: If there is no MinIO on this machine.
        """
        binary = find_minio(os.environ)
        if binary is None:
            raise RuntimeError(
                "these tests need MinIO: run `make setup`, put `minio` on PATH, or name it in "
                "AIMASS_MINIO_BINARY"
            )
        self._binary = binary
        self._folder = folder
        self._room = room
        self._process: subprocess.Popen[bytes] | None = None
        self.settings = StoreSettings(
            endpoint=f"127.0.0.1:{_free_port()}",
            access_key="test",
            secret_key=secrets.token_hex(16),
        )

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._running().pid

    def start(self) -> None:
        """Starts the server, waits until it answers, and makes the bucket.

        Raises:
            RuntimeError: If it does not answer within a minute; says what it logged.
        """
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        command = [str(self._binary), "server", "--quiet", "--address", self.settings.endpoint]
        with (self._folder / "minio.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._mounting(data), *command, str(data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment()},
                start_new_session=True,
            )
        self._wait_until_ready()

    def new_store(self, patience: float = UNARY_PATIENCE) -> ObjectStore:
        """Opens a fresh, empty bucket: what a test does in it disturbs no other."""
        settings = self.settings.model_copy(update={"bucket": f"test-{secrets.token_hex(8)}"})
        S3Store(settings).ensure_bucket()
        return open_store(settings, patience)

    def stop(self) -> None:
        """Stops the server as an operator would (SIGTERM). Nothing happens if it is stopped."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kills the server (SIGKILL)."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def freeze(self) -> None:
        """Freezes the server (SIGSTOP): it takes connections and answers nothing."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        while not _is_frozen(process.pid):
            time.sleep(_POLL_SECONDS)

    def thaw(self) -> None:
        """Lets a frozen server go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def _mounting(self, data: Path) -> list[str]:
        """Returns what a command stands behind to see a disk of its own at `data`."""
        if not self._room:
            return []
        mount = f'mount -t tmpfs -o size={self._room} tmpfs "$0" && exec "$@"'
        return [*_OWN_MOUNTS, "sh", "-c", mount, str(data)]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("MinIO is not running")
        return self._process

    def _environment(self) -> dict[str, str]:
        return {
            "MINIO_ROOT_USER": self.settings.access_key,
            "MINIO_ROOT_PASSWORD": self.settings.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._running().poll() is not None or time.monotonic() > deadline:
                self.stop()
                log = (self._folder / "minio.log").read_text(errors="replace")
                raise RuntimeError(f"MinIO did not start:\n{log[-2000:]}")
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            S3Store(self.settings, timeout=2).ensure_bucket()
        except UnavailableError:
            return False
        return True


def _is_frozen(pid: int) -> bool:
    """Whether every thread has stopped; the signal alone does not wait for them."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
