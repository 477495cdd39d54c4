"""Publishes commits to the object store as checkpoints, beside the training."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from aimass.trainer.v1 import agents_pb2
from common.artifacts.protocol import ObjectStore
from common.errors import AimassError
from services.trainer.worker.commits import FILE_NAME, read_commit

_log = logging.getLogger(__name__)

KEEP = 2
"""Checkpoints of this worker that stay in the store."""
_CHUNK_BYTES = 1024**2


class CheckpointPublisher:
    """A thread that uploads the newest commit every so often; only rank 0 has one.

    A store that is away costs checkpoints, never training: the next interval tries again.
    """

    def __init__(
        self,
        store: ObjectStore,
        prefix: str,
        directory: Path,
        interval: float,
        published: Callable[[agents_pb2.CheckpointPublished], None],
    ) -> None:
        """Prepares; `start` begins.

        Args:
            store: Where checkpoints go.
            prefix: Prefix of their keys.
            directory: Where the host's commit lies.
            interval: Seconds between checkpoints.
            published: Called for each checkpoint that is stored.
        """
        self._store = store
        self._prefix = prefix
        self._directory = directory
        self._interval = interval
        self._published = published
        self._keys: list[str] = []
        self._step = -1
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        """Begins to publish."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; an upload that runs is left behind."""
        self._ending.set()

    def publish(self) -> bool:
        """Uploads the host's commit now, unless the store has it already.

        Returns:
            Whether a checkpoint was stored.

        Raises:
            UnavailableError: The store is away.
        """
        path = self._directory / FILE_NAME
        commit = read_commit(self._directory)
        if commit is None or commit.step <= self._step:
            return False
        key = f"{self._prefix}checkpoints/{commit.step:012d}.safetensors"
        # The file may be replaced meanwhile by a newer one; which one it is, its header says.
        content = path.read_bytes()
        self._store.upload(key, _chunks(content))
        self._step = commit.step
        self._published(agents_pb2.CheckpointPublished(commit=commit, key=key))
        self._keys.append(key)
        while len(self._keys) > KEEP:
            self._store.delete(self._keys.pop(0))
        return True

    def _run(self) -> None:
        while not self._ending.wait(self._interval):
            try:
                self.publish()
            except (AimassError, OSError) as error:
                _log.warning("checkpoint not published, trying again later: %s", error)


def _chunks(content: bytes) -> Iterator[bytes]:
    view = memoryview(content)
    for start in range(0, len(view), _CHUNK_BYTES):
        yield bytes(view[start : start + _CHUNK_BYTES])
