"""What import jobs share: an identity per run, a scratch folder per attempt, turns to publish."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from common.disk import telling_full_disk
from common.errors import UnavailableError
from common.records import RequestId
from common.runs.kind import M, RunKind, name_of, status_of
from common.runs.lease import Lease, LeaseHeldError, LeaseKeeper
from common.runs.owner import RunOwner

_PAUSE_SECONDS = 0.1
_SCRATCH = "aimass-import-"
# A folder is made first and locked then.
_UNLOCKED_SECONDS = 60.0


def publish_request(kind: RunKind[M], run: M) -> RequestId:
    """Returns the identity under which any attempt of a run publishes its one version."""
    identity = f"{name_of(run)} {status_of(run).create_time.ToJsonString()}"
    return RequestId(
        caller=kind.collection,
        method="publish",
        request_id=str(uuid.uuid5(uuid.NAMESPACE_URL, identity)),
        payload_digest=hashlib.sha256(identity.encode()).hexdigest(),
    )


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


@contextmanager
def scratch_folder(identity: str, root: Path | None) -> Iterator[Path]:
    """Yields a directory for one attempt; what killed attempts of any run left is removed first.

    Args:
        identity: Of the run.
        root: Where; None for the system's place.

    Raises:
        DiskFullError: There is no room for what the block writes.
    """
    base = root or Path(tempfile.gettempdir())
    prefix = f"{_SCRATCH}{identity}-"
    for left in base.glob(f"{_SCRATCH}*"):
        if left.name.startswith(prefix) or _is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    cure = (
        "make room there, or set AIMASS_IMPORT_SCRATCH_DIR to a folder with room, and import again"
    )
    with (
        telling_full_disk(base, cure),
        tempfile.TemporaryDirectory(prefix=prefix, dir=base, ignore_cleanup_errors=True) as path,
        ExitStack() as held,
    ):
        with suppress(OSError):  # a file system without locks: nobody else will take it for dead
            held.enter_context(_lock_of(Path(path)))
        yield Path(path)


def _is_abandoned(folder: Path) -> bool:
    """Whether the process that made a scratch folder is dead: the kernel lets go of its lock."""
    try:
        if time.time() - folder.stat().st_mtime < _UNLOCKED_SECONDS:
            return False
        with _lock_of(folder):
            return True
    except OSError:
        return False


@contextmanager
def _lock_of(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder. Raises `OSError` where another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
