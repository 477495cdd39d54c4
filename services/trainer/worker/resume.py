"""Where a worker's training begins: the host's commit, a checkpoint, the parent's weights, or new.

Rank 0 decides and sends the state to all others: one path, whatever the beginning.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from common.artifacts.protocol import ObjectMissingError, ObjectStore
from common.errors import UnavailableError
from services.trainer.worker.commits import FILE_NAME, newest_commit
from services.trainer.worker.process import WorkerPlace
from services.trainer.worker.reduction.reducer import Reducer
from services.trainer.worker.state import Snapshot

_log = logging.getLogger(__name__)


def begin(
    fresh: Callable[[], Snapshot], context: WorkerPlace, store: ObjectStore, reducer: Reducer
) -> Snapshot:
    """Returns the state that the world starts from, the same on every rank.

    Args:
        fresh: Returns the state of a new run, with the weights of `make_pupil`.
        context: The worker's place in the world.
        store: Where checkpoints are.
        reducer: Joined to the world.
    """
    content = b""
    if context.rank == 0:
        content = saved_state(context, store) or fresh().to_bytes()
    return Snapshot.from_bytes(reducer.broadcast(content))


def saved_state(context: WorkerPlace, store: ObjectStore) -> bytes:
    """Returns the newest state that this host can get at; empty where there is none.

    The coordinator names a checkpoint only where it is newer than this host's commit. One that
    cannot be read costs the steps between them, no more.
    """
    if context.checkpoint_key:
        try:
            content = b"".join(store.download(context.checkpoint_key))
            Snapshot.from_bytes(content)
            return content
        except (UnavailableError, ObjectMissingError, ValueError) as error:
            _log.warning("the checkpoint %s is left out: %s", context.checkpoint_key, error)
    return _host_commit(context.commit_dir)


def _host_commit(directory: Path) -> bytes:
    try:
        with newest_commit(directory) as file:
            content = file.read()
        Snapshot.from_bytes(content)
    except FileNotFoundError:
        return b""
    except ValueError as error:
        _log.warning("the commit of this host is damaged and left out: %s", error)
        (directory / FILE_NAME).unlink(missing_ok=True)
        return b""
    return content
