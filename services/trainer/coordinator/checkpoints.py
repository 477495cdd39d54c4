"""Which checkpoints of the run are in the store."""

import asyncio
import logging
import re

from aimass.trainer.v1 import agents_pb2
from common.artifacts.protocol import ObjectStore
from common.errors import UnavailableError
from common.runs.kind import run_prefix

_log = logging.getLogger(__name__)
_KEPT = 2
_KEY = re.compile(r"attempts/\d+/checkpoints/(\d{12})\.safetensors$")


def checkpoint_key(attempt_prefix: str, step: int) -> str:
    """Returns the key of a checkpoint.

    Args:
        attempt_prefix: Prefix of all that the attempt puts out.
        step: Steps done since the start of the run.
    """
    return f"{attempt_prefix}checkpoints/{step:012}.safetensors"


class Checkpoints:
    """Knows the newest checkpoints and deletes older ones."""

    def __init__(self, store: ObjectStore) -> None:
        """Knows none yet.

        Args:
            store: Where they are.
        """
        self._store = store
        self._keys: dict[int, str] = {}
        self._deletions: set[asyncio.Task[None]] = set()

    def find(self, run: str) -> None:
        """Looks for the checkpoints of earlier attempts. Blocks while it reads the store."""
        for info in self._store.list(f"{run_prefix(run)}attempts/"):
            match = _KEY.search(info.key)
            if match:
                self._keys[int(match[1])] = info.key

    @property
    def newest(self) -> tuple[int, str]:
        """Step and key of the newest checkpoint; -1 and an empty key where there is none."""
        if not self._keys:
            return -1, ""
        step = max(self._keys)
        return step, self._keys[step]

    def note(self, published: agents_pb2.CheckpointPublished) -> None:
        """Takes a new checkpoint, and deletes all but the two newest."""
        self._keys[published.commit.step] = published.key
        for step in sorted(self._keys)[:-_KEPT]:
            task = asyncio.create_task(asyncio.to_thread(self._delete, self._keys.pop(step)))
            self._deletions.add(task)
            task.add_done_callback(self._deletions.discard)

    def _delete(self, key: str) -> None:
        try:
            self._store.delete(key)
        except UnavailableError as error:
            _log.warning("an old checkpoint stays: %s", error)
