"""What import jobs share: one identity per run, one scratch folder per attempt."""

import hashlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.records import RequestId
from common.runs.kind import M, RunKind, name_of, status_of


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
def scratch_folder(identity: str, root: Path | None) -> Iterator[Path]:
    """Yields a directory for one attempt; what a killed attempt left is removed first.

    Args:
        identity: Of the run.
        root: Where; None for the system's place.
    """
    base = root or Path(tempfile.gettempdir())
    prefix = f"aimass-import-{identity}-"
    for left in base.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=base, ignore_cleanup_errors=True) as path:
        yield Path(path)
