"""Publishes commits to the object store as checkpoints, beside the training."""

import logging
import mmap
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from aimass.trainer.v1 import agents_pb2
from common.artifacts.multipart import PART_BYTES
from common.artifacts.protocol import Chunk, ObjectStore
from common.errors import AimassError
from services.trainer.worker.commits import newest_commit
from services.trainer.worker.state import Snapshot, read_metadata

_log = logging.getLogger(__name__)

COST_SHARE = 0.02
"""Share of the time in which a checkpoint may be under way, where nobody chose an interval."""
FIRST_SECONDS, MOST_SECONDS = 30.0, 900.0
"""Least and most seconds between checkpoints, where nobody chose."""
_REMEMBERED = 3


class CheckpointPace:
    """Chooses the seconds between two checkpoints: those asked for, or such that they cost little.

    An upload takes the processor time of about one core while it lasts, most of it from the store.
    """

    def __init__(self, chosen: float | None) -> None:
        """Begins.

        Args:
            chosen: Seconds that were asked for; None to go by what uploads take.
        """
        self._chosen = chosen
        # The least of a few: a store that was away for a while says nothing of its speed.
        self._taken: deque[float] = deque(maxlen=_REMEMBERED)
        self.seconds = chosen or FIRST_SECONDS

    def note(self, taken: float) -> None:
        """Takes the seconds of an upload. The interval at most doubles at once."""
        self._taken.append(taken)
        if self._chosen is None:
            wanted = max(min(self._taken) / COST_SHARE, FIRST_SECONDS)
            self.seconds = min(wanted, 2 * self.seconds, MOST_SECONDS)


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
        interval: float | None,
        published: Callable[[agents_pb2.CheckpointPublished], None],
    ) -> None:
        """Prepares; `start` begins.

        Args:
            store: Where checkpoints go.
            prefix: Prefix of their keys.
            directory: Where the host's commit lies.
            interval: Seconds between checkpoints; None to choose by their cost.
            published: Called for each checkpoint that is stored.
        """
        self._store = store
        self._prefix = prefix
        self._directory = directory
        self._pace = CheckpointPace(interval)
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
        with newest_commit(self._directory) as file:
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

    def _upload(self, commit: agents_pb2.Commit, content: Iterable[Chunk]) -> None:
        key = f"{self._prefix}checkpoints/{commit.step:012d}.safetensors"
        begun = time.monotonic()
        self._store.upload(key, content)
        self._pace.note(time.monotonic() - begun)
        self._step = commit.step
        self._published(agents_pb2.CheckpointPublished(commit=commit, key=key))

    def _run(self) -> None:
        while not self._ending.wait(self._pace.seconds):
            try:
                self.publish()
            except FileNotFoundError:
                continue
            except (AimassError, OSError, ValueError) as error:
                _log.warning("checkpoint not published, trying again later: %s", error)


class _Chunks:
    """The bytes of an open file in chunks that are not copied, from its beginning each time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __iter__(self) -> Iterator[memoryview]:
        content = memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
        for start in range(0, len(content), PART_BYTES):
            yield content[start : start + PART_BYTES]
