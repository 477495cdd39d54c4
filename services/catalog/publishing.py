"""What import jobs share: a scratch folder per attempt, turns to publish."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from google.protobuf.message import Message

from common.errors import UnavailableError
from common.runs import scratch
from common.runs.kind import M
from common.runs.lease import Lease, LeaseHeldError, LeaseKeeper
from common.runs.owner import RunOwner

_PAUSE_SECONDS = 0.1
_CURE = "make room there, or set AIMASS_IMPORT_SCRATCH_DIR to a folder with room, and import again"


def scratch_folder(run: Message, root: Path | None) -> AbstractContextManager[Path]:
    """Opens a folder for one attempt of an import; see `common.runs.scratch`."""
    return scratch.scratch_folder("import", run, root, _CURE)


@contextmanager
def publishing_turn(owner: RunOwner[M], line: str) -> Iterator[Lease]:
    """Holds the turn to add a version to a line: what is the newest stays the newest meanwhile.

    Waits while another run has it, at most for a lease's time to live where that died. The turn is
    kept as long as the block takes.

    Args:
        owner: The run that is to add a version.
        line: Name of the line.

    Yields:
        The lease; check it right before the version is created.

    Raises:
        RunCancelledError: The run was cancelled while it waited.
    """
    lease = Lease(owner.store, f"publishing/{line}.json")
    while True:
        owner.check_cancelled()
        try:
            lease.acquire()
        except LeaseHeldError:
            time.sleep(_PAUSE_SECONDS)
        else:
            break
    keeper = LeaseKeeper(lease, lambda: None)  # whoever publishes checks the lease
    keeper.start()
    try:
        yield lease
    finally:
        keeper.stop()
        with suppress(UnavailableError):
            lease.release()
