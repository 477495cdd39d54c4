"""Writing and reading the events of a run."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from google.protobuf import timestamp_pb2

from aimass.type.v1 import event_pb2, run_pb2
from common.artifacts.protocol import ObjectStore
from common.errors import FencedError, UnavailableError
from common.runs.segments import MAX_SEGMENT_EVENTS, SegmentWriter, read_events

__all__ = ["EventKind", "EventWriter", "read_events"]

_log = logging.getLogger(__name__)

EventKind: TypeAlias = (
    event_pb2.StateChange
    | run_pb2.Progress
    | event_pb2.Metrics
    | event_pb2.LogLine
    | event_pb2.MembershipChange
)

FLUSH_SECONDS = 0.25
_RETRY_SECONDS = 0.2
_MAX_WAITING = 10_000
_MAX_LINE = 4096


class EventWriter:
    """Stores events from a thread of its own, at most `FLUSH_SECONDS` after they were emitted.

    An event after a quiet time is stored at once; a busy run writes four segments a second. While
    the store is away events wait in memory, where log lines beyond 10,000 are dropped and counted.

    Args:
        store: Where events live.
        run: Resource name of the run.
        attempt: The attempt that writes.
        check: Raises `FencedError` when nothing may be published any more.
        on_fenced: Called once, from the thread, when a newer attempt has taken over.
        on_stored: Called, from the thread, when events were stored.
    """

    def __init__(
        self,
        store: ObjectStore,
        run: str,
        attempt: int,
        check: Callable[[], None] = lambda: None,
        on_fenced: Callable[[], None] = lambda: None,
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        self._segments = SegmentWriter(store, run, attempt)
        self._check = check
        self._on_fenced = on_fenced
        self._on_stored = on_stored
        self._changed = threading.Condition()
        self._waiting: deque[event_pb2.Event] = deque()
        self._emitted = 0
        self._stored = 0
        self._dropped = 0
        self._urgent = False
        self._closed = False
        self._hurried = False
        self._fenced: FencedError | None = None
        self._thread = threading.Thread(target=self._work, name="events", daemon=True)
        self._thread.start()

    def emit(self, kind: EventKind) -> None:
        """Notes that something happened, now. Returns at once; fenced writers drop it.

        Args:
            kind: What happened. A log line longer than 4 KiB is cut.
        """
        event = _event_of(kind)
        with self._changed:
            if self._closed or self._fenced:
                return
            if len(self._waiting) >= _MAX_WAITING and event.HasField("log_line"):
                self._dropped += 1
                return
            self._waiting.append(event)
            self._emitted += 1
            self._changed.notify_all()

    def flush(self) -> int:
        """Waits until all that was emitted is stored, however long the store is away.

        Returns:
            Number of the newest stored event.

        Raises:
            FencedError: A newer attempt has taken over, or the lease was lost.
        """
        with self._changed:
            target = self._emitted
            self._urgent = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._fenced or self._stored >= target)
            if self._fenced:
                raise self._fenced
            return self._segments.last_sequence

    def finish(self) -> int:
        """Takes no more events, and waits like `flush` until those it has are stored.

        Returns:
            Number of the newest stored event.

        Raises:
            FencedError: A newer attempt has taken over, or the lease was lost.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._join()
        if self._fenced:
            raise self._fenced
        return self._segments.last_sequence

    def close(self) -> None:
        """Takes no more events, and stores those it has if the store answers at once."""
        with self._changed:
            self._closed = True
            self._hurried = True
            self._changed.notify_all()
        self._join()

    def _join(self) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        flushed = -FLUSH_SECONDS
        while batch := self._next_batch(flushed + FLUSH_SECONDS):
            flushed = time.monotonic()
            try:
                self._store_batch(batch)
            except FencedError as error:
                self._end(error)
                return
            except BaseException as error:
                # Whoever waits for these events must not wait for ever, nor take them for stored.
                _log.exception("the events of a run cannot be stored")
                self._end(FencedError("Events cannot be stored.", private=repr(error)))
                return
            self._on_stored()
            with self._changed:
                self._stored += len(batch)
                self._changed.notify_all()

    def _next_batch(self, due: float) -> list[event_pb2.Event]:
        """Waits for events, and for the time that is due. Returns none when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(self._is_pressing, timeout=max(due - time.monotonic(), 0))
            count = min(len(self._waiting), MAX_SEGMENT_EVENTS)
            batch = [self._waiting.popleft() for _ in range(count)]
            self._urgent = self._urgent and bool(self._waiting)
            self._report_dropped()
            return batch

    def _is_pressing(self) -> bool:
        return self._urgent or self._closed or len(self._waiting) >= MAX_SEGMENT_EVENTS

    def _report_dropped(self) -> None:
        if not self._dropped or len(self._waiting) >= _MAX_WAITING:
            return
        text = f"{self._dropped} log lines were dropped while the object store was away"
        line = event_pb2.LogLine(severity=event_pb2.SEVERITY_WARNING, source="events", text=text)
        self._waiting.append(_event_of(line))
        self._emitted += 1
        self._dropped = 0

    def _store_batch(self, batch: list[event_pb2.Event]) -> None:
        while True:
            self._check()
            try:
                self._segments.append(batch)
            except UnavailableError as error:
                if self._hurried:
                    raise FencedError("Closed while the object store was away.") from None
                _log.warning("events wait: %s", error)
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _end(self, error: FencedError) -> None:
        with self._changed:
            self._fenced = error
            self._waiting.clear()
            self._changed.notify_all()
        if not self._closed:
            self._on_fenced()


def _event_of(kind: EventKind) -> event_pb2.Event:
    now = timestamp_pb2.Timestamp()
    now.GetCurrentTime()
    match kind:
        case event_pb2.StateChange():
            return event_pb2.Event(time=now, state_change=kind)
        case run_pb2.Progress():
            return event_pb2.Event(time=now, progress=kind)
        case event_pb2.Metrics():
            return event_pb2.Event(time=now, metrics=kind)
        case event_pb2.MembershipChange():
            return event_pb2.Event(time=now, membership_change=kind)
        case event_pb2.LogLine():
            event = event_pb2.Event(time=now, log_line=kind)
            event.log_line.text = kind.text.encode()[:_MAX_LINE].decode(errors="ignore")
            return event
