"""The process of a run: what `python -m services.<name>.job` does around the work itself."""

import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Generic

from pydantic import Field

from aimass.type.v1 import event_pb2, run_pb2
from common import identity, telemetry
from common.artifacts.opening import FULL_PATIENCE, RUN_PATIENCE, open_store
from common.artifacts.settings import StoreSettings
from common.config import Settings
from common.errors import (
    AimassError,
    FencedError,
    NotFoundError,
    StoreFullError,
    UnavailableError,
)
from common.records import RecordStore
from common.runs import waiting
from common.runs.errors import RunCancelledError, RunEndedError
from common.runs.hosts import JOB_VARIABLE, RUN_VARIABLE, kill_job
from common.runs.kind import M, RunKind, status_of
from common.runs.lease import LeaseHeldError
from common.runs.owner import RunOwner

_log = logging.getLogger(__name__)

EXIT_DONE = 0
# Nothing is wrong with the run: somebody else has it, or the store is away.
EXIT_TRY_LATER = 75
EXIT_CANCELLED = 76
EXIT_LOST = 77
EXIT_TERMINATED = 143


class JobSettings(Settings):
    """What job processes and their executor need to know."""

    log_dir: Path | None = Field(
        None, description="Folder for a log of each run; without it they write to standard error."
    )
    max_faults: int = Field(
        20,
        ge=1,
        description="A run whose process died so often in a row, without getting further, fails.",
    )


def run_job(
    kind: RunKind[M],
    main: Callable[[RunOwner[M]], None],
    arguments: Sequence[str] | None = None,
    *,
    resumes: bool = True,
) -> int:
    """Works on one run in this process, from taking it to publishing its end.

    What `main` raises becomes the run's end: `RunCancelledError` CANCELLED, `UnavailableError`
    another attempt, anything else FAILED with the status that `to_status` gives. When the run is
    lost, the process and its children end at once.

    Args:
        kind: Kind of the run.
        main: The work. It ends by `owner.succeed(...)`.
        arguments: The run's resource name, or `--standby`: then everything is imported already,
            and the name comes as a line on standard input; its end without one ends the process.
        resumes: Whether an attempt goes on where the last one stopped, so that it waits for room
            in a full store. One that would begin anew fails soon, and says why.

    Returns:
        Exit code of the process.
    """
    name, ring = _order(sys.argv[1:] if arguments is None else arguments)
    if not name:
        return EXIT_DONE
    kind.check_name(name)
    os.environ[RUN_VARIABLE] = name
    os.environ.setdefault(JOB_VARIABLE, secrets.token_hex(8))
    _send_output_to_log(name, JobSettings().log_dir)
    telemetry.configure(f"{kind.prefix}-job")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _Job(kind, name, StoreSettings(), main, ring, resumes).work()
    finally:
        telemetry.flush()


def _order(arguments: Sequence[str]) -> tuple[str, Callable[[], None]]:
    """Returns the run to work on, and what tells the executor that there is news of it."""
    if len(arguments) != 1:
        raise SystemExit("usage: job RUN | --standby")
    if arguments[0] != "--standby":
        return arguments[0], lambda: None
    name = sys.stdin.readline().strip()
    line = socket.socket(fileno=os.dup(0))
    line.setblocking(False)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    return name, lambda: _ring(line)


def _ring(line: socket.socket) -> None:
    # The executor may be gone, or behind: then it looks by itself.
    with suppress(OSError):
        line.send(b".")


def _send_output_to_log(name: str, folder: Path | None) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name.replace('/', '-')}.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(EXIT_TERMINATED)


def end_process() -> None:
    """Ends this job's processes, this one last. Nothing else may happen once a run is lost."""
    _log.error("the run is lost; its process ends")
    kill_job(os.environ.get(JOB_VARIABLE, ""), os.getpid())
    os._exit(EXIT_LOST)


class _Job(Generic[M]):
    """One attempt in this process."""

    def __init__(
        self,
        kind: RunKind[M],
        name: str,
        store: StoreSettings,
        main: Callable[[RunOwner[M]], None],
        ring: Callable[[], None],
        resumes: bool,
    ) -> None:
        self._kind = kind
        self._name = name
        self._store = store
        self._main = main
        self._ring = ring
        self._resumes = resumes

    def work(self) -> int:
        try:
            store = open_store(self._store)
            owner = RunOwner.acquire(
                self._kind, self._name, store, on_lost=end_process, on_stored=self._ring
            )
        except (RunEndedError, NotFoundError) as error:
            _log.info("nothing to do: %s", error)
            return EXIT_DONE
        except (LeaseHeldError, FencedError, UnavailableError) as error:
            _log.info("not now: %s", error)
            return EXIT_TRY_LATER
        telemetry.bind_run(self._name, owner.attempt)
        identity.work_for(status_of(owner.run).creator)
        waiting.tell_to(lambda it: owner.log(it, event_pb2.SEVERITY_WARNING, source="calls"))
        # Lease and events retry by themselves; the work should not have to.
        full_patience = RUN_PATIENCE if self._resumes else FULL_PATIENCE
        owner.store = open_store(self._store, RUN_PATIENCE, full_patience)
        owner.records = RecordStore(owner.store)
        try:
            return self._attempt(owner)
        except FencedError as error:
            _log.error("the run is lost: %s", error)
            return EXIT_LOST
        finally:
            if not owner.ended:
                owner.abandon()

    def _attempt(self, owner: RunOwner[M]) -> int:
        try:
            self._do(owner)
        except RunCancelledError:
            return _stop_cancelled(owner)
        except UnavailableError as error:
            _log.exception("the attempt ends")
            owner.log(f"The attempt ends: {error}", event_pb2.SEVERITY_ERROR)
            owner.abandon(fault=True)
            return EXIT_TRY_LATER
        return EXIT_DONE

    def _do(self, owner: RunOwner[M]) -> None:
        try:
            if owner.faults >= JobSettings().max_faults:
                raise _keeps_dying(self._name, owner.faults)
            owner.check_cancelled()
            with telemetry.process_span(self._name.partition("/")[0], owner.traceparent):
                self._main(owner)
            if not owner.ended:
                owner.check_cancelled()
                raise RuntimeError("the job returned without an end of the run")
        except StoreFullError as error:
            if self._resumes:
                raise
            _log.exception("the run fails")
            owner.fail(error)
        except (RunCancelledError, UnavailableError, FencedError):
            raise
        except Exception as error:
            _log.exception("the run fails")
            owner.fail(error)


def _stop_cancelled(owner: RunOwner[M]) -> int:
    """Hands the run back: its executor publishes CANCELLED once all processes are gone."""
    owner.emit(event_pb2.StateChange(state=run_pb2.RUN_STATE_CANCELLING))
    owner.abandon()
    return EXIT_CANCELLED


def _keeps_dying(name: str, faults: int) -> AimassError:
    return AimassError(
        f"The run's process died {faults} times in a row without getting further; "
        "the run's log shows its last words.",
        reason="RUN_KEEPS_DYING",
        help_command=f"aimass debug {name}",
        private=name,
    )
