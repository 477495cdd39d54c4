"""Publishes commits to the object store as checkpoints, beside the training."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from aimass.trainer.v1 import agents_pb2
from common.artifacts.protocol import ObjectStore
from common.errors import AimassError
from services.trainer.worker.commits import FILE_NAME
from services.trainer.worker.state import Snapshot, read_metadata

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1024**2


class CheckpointPublisher:
    """A thread that uploads the newest commit every so often; only rank 0 has one.

    A store that is away costs checkpoints, never training: the next interval tries again. The
    coordinator deletes old ones.
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
            OSError: There is no commit yet.
        """
        with (self._directory / FILE_NAME).open("rb") as file:
            # The file that was opened stays what it is when a newer commit takes its name.
            metadata = read_metadata(file)
            commit = agents_pb2.Commit(step=int(metadata["step"]), epoch=int(metadata["epoch"]))
            if commit.step <= self._step:
                return False
            self._upload(commit, _Chunks(file))
        return True

    def publish_snapshot(self, snapshot: Snapshot) -> None:
        """Uploads a state of which the host has no commit.

        Raises:
            UnavailableError: The store is away.
        """
        commit = agents_pb2.Commit(step=snapshot.step, epoch=snapshot.epoch)
        self._upload(commit, [snapshot.to_bytes()])

    def _upload(self, commit: agents_pb2.Commit, content: Iterable[bytes]) -> None:
        key = f"{self._prefix}checkpoints/{commit.step:012d}.safetensors"
        self._store.upload(key, content)
        self._step = commit.step
        self._published(agents_pb2.CheckpointPublished(commit=commit, key=key))

    def _run(self) -> None:
        while not self._ending.wait(self._interval):
            try:
                self.publish()
            except FileNotFoundError:
                continue
            except (AimassError, OSError, ValueError) as error:
                _log.warning("checkpoint not published, trying again later: %s", error)


class _Chunks:
    """The bytes of an open file in chunks, from its beginning whenever it is iterated."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk
