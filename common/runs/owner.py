"""The side of a run that does its work: one attempt, from taking the run to publishing its end."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Generic

from google.rpc import status_pb2

from aimass.type.v1 import event_pb2, run_pb2
from common.artifacts import ObjectStore
from common.errors import ConflictError, FencedError, NotFoundError, UnavailableError, to_status
from common.records import RecordStore
from common.runs.attempt import AttemptRecord
from common.runs.errors import RunCancelledError, RunEndedError
from common.runs.events import EventKind, EventWriter
from common.runs.kind import M, RunKind, attempt_prefix, is_terminal, lease_key, status_of
from common.runs.lease import Lease, LeaseKeeper
from common.runs.lineage import write_start
from common.runs.progress import ProgressNews

_log = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.5


class RunOwner(Generic[M]):
    """One attempt at a run. Made by `acquire`. Safe to use from several threads.

    Attributes:
        name: Resource name of the run.
        run: The run as it was when the attempt began.
        records: The suite's resources, for the work.
        store: The object store, for the work.
        cancelled: Set within a second after a cancel request.
    """

    def __init__(
        self,
        kind: RunKind[M],
        name: str,
        store: ObjectStore,
        records: RecordStore,
        lease: Lease,
        on_lost: Callable[[], None],
        on_stored: Callable[[], None],
    ) -> None:
        self.name = name
        self.store = store
        self.records = records
        self.cancelled = threading.Event()
        self.run = kind.message()
        self._lease = lease
        self._record = AttemptRecord(kind, name, records, lease)
        self._on_lost = on_lost
        self._on_stored = on_stored
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._stopped = threading.Event()
        self._keeper = LeaseKeeper(lease, self._lose)
        self._progress = ProgressNews()
        self._follower = threading.Thread(target=self._follow, name="run-follow", daemon=True)

    @classmethod
    def acquire(
        cls,
        kind: RunKind[M],
        name: str,
        store: ObjectStore,
        records: RecordStore | None = None,
        *,
        on_lost: Callable[[], None] = lambda: None,
        on_stored: Callable[[], None] = lambda: None,
        lease: Lease | None = None,
        closing: str = "",
    ) -> "RunOwner[M]":
        """Takes a run that nobody works on.

        Args:
            kind: Kind of the run.
            name: Its resource name.
            store: The object store.
            records: The suite's resources; those in `store` by default.
            on_lost: Called once, from a thread, when the run was lost to somebody else or the store
                was away for too long. A process that works on nothing else ends itself then.
            on_stored: Called, from threads, whenever there is something new for watchers.
            lease: The lease to take; a new one by default.
            closing: Why the caller only writes the run's end; empty for those who do its work.

        Returns:
            The owner; the run is RUNNING (CANCELLING if a cancel was asked for).

        Raises:
            RunEndedError: The run has ended.
            LeaseHeldError: Somebody else works on it.
            NotFoundError: There is no such run.
            UnavailableError: The store is away.
        """
        records = records or RecordStore(store)
        run = records.get(name, kind.message).resource
        if is_terminal(run):
            raise RunEndedError(f"{name} has ended.")
        lease = lease or Lease(store, lease_key(name))
        lease.acquire(status_of(run).attempt, closing=bool(closing))
        owner = cls(kind, name, store, records, lease, on_lost, on_stored)
        owner._begin(closing)
        return owner

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self._lease.attempt

    @property
    def faults(self) -> int:
        """Attempts in a row before this one that died without getting further."""
        return self._lease.faults

    @property
    def attempt_prefix(self) -> str:
        """Prefix of all keys that this attempt writes to."""
        return attempt_prefix(self.name, self.attempt)

    @property
    def traceparent(self) -> str:
        """Trace context that the run's work belongs to."""
        return status_of(self.run).traceparent

    @property
    def ended(self) -> bool:
        """Whether this attempt is over: published, abandoned or lost."""
        return self._stopped.is_set()

    def check(self) -> None:
        """Call before anything is published elsewhere.

        Raises:
            FencedError: The run may have been taken over.
        """
        self._lease.check()

    def check_cancelled(self) -> None:
        """Raises `RunCancelledError` once somebody asked for the run to be cancelled."""
        if self.cancelled.is_set():
            raise RunCancelledError(f"{self.name} was cancelled.")

    def emit(self, kind: EventKind) -> None:
        """Notes that something happened; stored within 250 ms. Returns at once."""
        if isinstance(kind, event_pb2.Metrics):
            # Stored together, so that it costs no further write.
            self._tell_progress()
        self._events.emit(kind)

    def _tell_progress(self) -> None:
        progress = self._progress.take_event()
        if progress is not None:
            self._events.emit(progress)

    def flush(self) -> int:
        """Waits until all events so far are stored. Returns the number of the newest.

        Raises:
            FencedError: The run was taken over.
        """
        return self._events.flush()

    def log(
        self,
        text: str,
        severity: event_pb2.Severity.ValueType = event_pb2.SEVERITY_INFO,
        source: str = "coordinator",
    ) -> None:
        """Emits a log line for the run's watchers."""
        self.emit(event_pb2.LogLine(severity=severity, source=source, text=text))

    def metrics(self, values: Mapping[str, float], *, epoch: int = 0, step: int = 0) -> None:
        """Emits measured values."""
        self.emit(event_pb2.Metrics(epoch=epoch, step=step, values=values))

    def progress(
        self, fraction: float, stage: str = "", message: str = "", remaining: float | None = None
    ) -> None:
        """Tells how far the run has come. Cheap: call it as often as there is news.

        Args:
            fraction: Share of the work done, 0 to 1.
            stage: What is being done, one or two words.
            message: One sentence for a person.
            remaining: Estimated seconds left.
        """
        progress = run_pb2.Progress(fraction=fraction, stage=stage, message=message)
        if remaining is not None:
            progress.remaining.FromMilliseconds(round(max(remaining, 0.0) * 1000))
        if self._progress.note(progress):
            self.emit(progress)
        if fraction > status_of(self.run).progress.fraction and self._lease.mark_progress():
            self._keeper.renew_now()

    def update(self, change: Callable[[M], None]) -> None:
        """Changes the record of the run, as often as it takes while the store is away.

        A run that was cancelled may still be changed, to keep what was found by then: its end as
        CANCELLED leaves all results.

        Args:
            change: Changes the run in place; may be called again with a newer state.

        Raises:
            FencedError: The run was taken over, or has ended.
        """
        self._record.update(change)

    def succeed(self, change: Callable[[M], None] = lambda run: None) -> None:
        """Publishes that the run succeeded, with its result.

        Args:
            change: Sets the result in the run, in place; may be called again.

        Raises:
            RunCancelledError: A cancel came first.
            FencedError: The run was taken over.
        """

        def finish(run: M) -> None:
            change(run)
            progress = status_of(run).progress
            progress.fraction = 1.0
            progress.ClearField("remaining")

        self._end(run_pb2.RUN_STATE_SUCCEEDED, finish)

    def fail(self, error: BaseException | status_pb2.Status) -> None:
        """Publishes that the run failed.

        Args:
            error: Why; of an exception that is no `AimassError` the public learns nothing.

        Raises:
            RunCancelledError: A cancel came first.
            FencedError: The run was taken over.
        """
        status = error if isinstance(error, status_pb2.Status) else to_status(error)
        self._end(run_pb2.RUN_STATE_FAILED, lambda run: status_of(run).error.CopyFrom(status))

    def publish_cancelled(self) -> None:
        """Publishes that the run was cancelled. For whoever has seen its processes end.

        Raises:
            FencedError: The run was taken over.
        """
        self._end(run_pb2.RUN_STATE_CANCELLED, lambda run: None)

    def abandon(self, *, fault: bool = False) -> None:
        """Gives the run up without an end, for another attempt or for its executor.

        Nothing happens where it has ended; one that was lost is left to others at once.

        Args:
            fault: Whether something went wrong; many faults in a row fail the run.
        """
        self._stop_following()
        self._events.close()
        self._stop(fault=fault)

    def _begin(self, closing: str) -> None:
        self._keeper.start()
        try:
            self.run = self._record.begin(closing=bool(closing))
        except BaseException:
            self._stop()
            raise
        self._note_cancel(self.run)
        self._events = EventWriter(
            self.store,
            self.name,
            self.attempt,
            check=self._lease.check,
            on_fenced=self._lose,
            on_stored=self._on_stored,
        )
        # This first segment fences off older attempts: from here on they cannot add events.
        if closing:
            self.log(closing, source="executor")
        else:
            write_start(self.store, self.run)
            self.emit(event_pb2.StateChange(state=status_of(self.run).state))
        self._follower.start()

    def _note_cancel(self, run: M) -> None:
        if status_of(run).state == run_pb2.RUN_STATE_CANCELLING:
            self.cancelled.set()

    def _end(self, state: run_pb2.RunState.ValueType, change: Callable[[M], None]) -> None:
        """Publishes a terminal state, after all events."""
        self._stop_following()
        last = self._events.finish() + 1

        def finish(run: M) -> None:
            self._progress.store_in(status_of(run))
            change(run)

        try:
            self._record.end(state, finish, last)
        except RunCancelledError:
            self.cancelled.set()
            raise
        self._on_stored()
        self._stop()

    def _stop(self, *, fault: bool = False) -> None:
        self._stopped.set()
        self._keeper.stop()
        try:
            self._lease.release(fault=fault)
        except UnavailableError:
            _log.warning("the lease of %s is left to expire", self.name)

    def _lose(self) -> None:
        with self._lock:
            is_over = self._stopped.is_set()
            self._stopped.set()
        # A lease that is renewed by somebody who cannot work would keep others from it.
        self._ending.set()
        self._keeper.halt()
        if not is_over:
            self._on_lost()

    def _stop_following(self) -> None:
        self._ending.set()
        if self._follower is not threading.current_thread():
            self._follower.join()

    def _follow(self) -> None:
        """Looks for a cancel request, and stores the progress, until the attempt ends."""
        while not self._ending.wait(FOLLOW_SECONDS):
            try:
                self._look()
            except (UnavailableError, ConflictError) as error:
                _log.warning("cannot look after %s: %s", self.name, error)
            except (FencedError, NotFoundError):
                self._lose()
                return

    def _look(self) -> None:
        self._tell_progress()
        run = self._record.read()
        self._note_cancel(run)
        if self._progress.is_to_be_stored(status_of(run)):
            self._record.try_update(lambda run: self._progress.store_in(status_of(run)))
