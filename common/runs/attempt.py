"""The record of a run as one attempt changes it: fenced by the lease, patient with the store."""

import logging
import time
from collections.abc import Callable
from typing import Generic

from google.protobuf import timestamp_pb2

from aimass.type.v1 import run_pb2
from common.errors import ConflictError, FencedError, UnavailableError
from common.records import RecordStore
from common.runs.errors import RunCancelledError, RunEndedError
from common.runs.kind import M, RunKind, is_terminal, status_of
from common.runs.lease import Lease

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.2


class AttemptRecord(Generic[M]):
    """Reads and changes the record of a run as long as one attempt owns the run.

    Every change is tried as often as it takes while the store is away and the lease holds.
    """

    def __init__(self, kind: RunKind[M], name: str, records: RecordStore, lease: Lease) -> None:
        """Begins nothing yet.

        Args:
            kind: Kind of the run.
            name: Its resource name.
            records: The suite's resources.
            lease: The attempt's lease, held.
        """
        self._kind = kind
        self._name = name
        self._records = records
        self._lease = lease

    def begin(self, *, closing: bool) -> M:
        """Notes that the attempt owns the run, and returns the run.

        Args:
            closing: Whether only the run's end is to be written, and none of its work done.

        Raises:
            RunEndedError: The run has ended.
            FencedError: A later attempt has taken it over.
        """
        begun = self._kind.message()

        def apply(run: M) -> M:
            self._note_attempt(run, closing)
            begun.CopyFrom(run)
            return run

        self._persist(apply)
        return begun

    def read(self) -> M:
        """Returns the run.

        Raises:
            FencedError: It was taken over, or has ended.
            NotFoundError: It was deleted.
            UnavailableError: The store is away.
        """
        run = self._records.get(self._name, self._kind.message).resource
        self._require_mine(run)
        return run

    def try_update(self, change: Callable[[M], None]) -> None:
        """Like `update`, but once.

        Raises:
            FencedError: See `update`.
            UnavailableError: The store is away.
            ConflictError: Others changed the run too often at the same time.
        """
        self._records.update(self._name, self._kind.message, self._changing(change))

    def update(self, change: Callable[[M], None]) -> None:
        """Changes the run in place.

        Args:
            change: May be called again with a newer state.

        Raises:
            FencedError: The run was taken over, or has ended.
        """
        self._persist(self._changing(change))

    def end(
        self, state: run_pb2.RunState.ValueType, change: Callable[[M], None], last: int
    ) -> None:
        """Publishes a terminal state: one swap that carries the attempt.

        Args:
            state: The state.
            change: Sets the result in the run; may be called again.
            last: Number that the last event will have.

        Raises:
            RunCancelledError: A cancel came first, and this is no cancelled end.
            FencedError: The run was taken over.
        """
        end_time = timestamp_pb2.Timestamp()
        end_time.GetCurrentTime()

        def apply(run: M) -> M | None:
            status = status_of(run)
            if is_terminal(run) and self._is_own_end(status, state, last):
                return None
            self._require_mine(run)
            is_cancelling = status.state == run_pb2.RUN_STATE_CANCELLING
            if is_cancelling and state != run_pb2.RUN_STATE_CANCELLED:
                raise RunCancelledError(f"{self._name} was cancelled.")
            change(run)
            if end_time.ToNanoseconds() < status.start_time.ToNanoseconds():
                end_time.CopyFrom(status.start_time)  # a clock was set back meanwhile
            status.state = state
            status.end_time.CopyFrom(end_time)
            status.update_time.CopyFrom(end_time)
            status.last_sequence = last
            return run

        self._persist(apply)

    def _note_attempt(self, run: M, closing: bool) -> None:
        status = status_of(run)
        if is_terminal(run):
            raise RunEndedError(f"{self._name} has ended.")
        if status.attempt > self._lease.attempt:
            raise FencedError(f"Attempt {status.attempt} has taken {self._name} over.")
        status.attempt = self._lease.attempt
        status.update_time.GetCurrentTime()
        if closing:
            return
        status.progress.message = ""
        if status.state == run_pb2.RUN_STATE_PENDING:
            status.state = run_pb2.RUN_STATE_RUNNING
        if not status.HasField("start_time"):
            status.start_time.CopyFrom(status.update_time)

    def _changing(self, change: Callable[[M], None]) -> Callable[[M], M]:
        def apply(run: M) -> M:
            self._require_mine(run)
            change(run)
            status_of(run).update_time.GetCurrentTime()
            return run

        return apply

    def _require_mine(self, run: M) -> None:
        self._lease.check()
        attempt, mine = status_of(run).attempt, self._lease.attempt
        if is_terminal(run):
            raise FencedError(f"{self._name} has ended; attempt {mine} may not change it.")
        if attempt != mine:
            raise FencedError(f"Attempt {attempt} owns {self._name}, this is {mine}.")

    def _is_own_end(
        self, status: run_pb2.RunStatus, state: run_pb2.RunState.ValueType, last: int
    ) -> bool:
        """Whether an earlier try, whose answer was lost, has published this very end."""
        mine = (self._lease.attempt, state, last)
        return (status.attempt, status.state, status.last_sequence) == mine

    def _persist(self, apply: Callable[[M], M | None]) -> None:
        """Updates the record; waits while the store is away and the lease holds."""
        while True:
            self._lease.check()
            try:
                self._records.update(self._name, self._kind.message, apply)
            except (UnavailableError, ConflictError) as error:
                _log.warning("the record of %s waits: %s", self._name, error)
                time.sleep(_RETRY_SECONDS)
            else:
                return
