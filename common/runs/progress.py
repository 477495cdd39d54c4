"""The progress of a run between two of its publications."""

import threading
import time

from aimass.type.v1 import run_pb2

# Each event, and each change of the record, is a write to the object store.
_EVENT_SECONDS = 1.0
_RECORD_SECONDS = 1.0


class ProgressNews:
    """The newest progress, and how much of it is known to others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: run_pb2.Progress | None = None
        self._emitted: run_pb2.Progress | None = None
        self._emitted_at = 0.0
        self._stored_at = 0.0

    def note(self, progress: run_pb2.Progress) -> bool:
        """Takes the newest progress. Returns whether an event is due now."""
        with self._lock:
            self._newest = progress
            is_stage = self._emitted is None or self._emitted.stage != progress.stage
            is_due = time.monotonic() - self._emitted_at >= _EVENT_SECONDS
            if is_stage or is_due:
                self._mark_emitted()
            return is_stage or is_due

    def take_event(self) -> run_pb2.Progress | None:
        """Returns the newest progress if no event told of it yet."""
        with self._lock:
            if self._newest is None or self._newest is self._emitted:
                return None
            return self._mark_emitted()

    def _mark_emitted(self) -> run_pb2.Progress | None:
        self._emitted = self._newest
        self._emitted_at = time.monotonic()
        return self._newest

    def is_to_be_stored(self, status: run_pb2.RunStatus) -> bool:
        """Whether the record does not know the newest progress, and it is time to tell it."""
        newest = self._newest
        is_due = time.monotonic() - self._stored_at >= _RECORD_SECONDS
        return is_due and newest is not None and newest != status.progress

    def store_in(self, status: run_pb2.RunStatus) -> None:
        """Puts the newest progress into a status."""
        newest = self._newest
        if newest is not None:
            self._stored_at = time.monotonic()
            status.progress.CopyFrom(newest)
