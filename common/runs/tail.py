"""Following runs: one tail per run and process feeds all watchers."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic

from aimass.type.v1 import event_pb2
from common.artifacts import ObjectStore
from common.errors import AimassError, OutOfRangeError, UnavailableError
from common.records import RecordStore
from common.runs.kind import M, RunKind, is_terminal, status_of, terminal_event
from common.runs.segments import find_end, read_events, read_segment

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
_WINDOW_EVENTS = 2000
_CATCH_UP_EVENTS = 500
# Jobs of this host tell of their news: these are for jobs elsewhere.
_SHORTEST_POLL_SECONDS = 0.2
_LONGEST_POLL_SECONDS = 1.0
_THREADS = 8
# So many watchers are woken before other tasks get a turn.
_WOKEN_AT_ONCE = 20


class Tails(Generic[M]):
    """The tails of all runs of a kind that are watched. For one event loop.

    Args:
        kind: Kind of the runs.
        store: The object store.
        records: The suite's resources.
        heartbeat: A watch that was idle so many seconds sends a heartbeat.
    """

    def __init__(
        self,
        kind: RunKind[M],
        store: ObjectStore,
        records: RecordStore,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._kind = kind
        self._store = store
        self._records = records
        self._heartbeat = heartbeat
        self._tails: dict[str, _Tail[M]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="tails")

    async def watch(self, name: str, after: int = 0) -> AsyncGenerator[event_pb2.Event, None]:
        """Yields the events of a run, each once it is stored, and heartbeats when idle.

        Args:
            name: Resource name of the run.
            after: Only events with a larger number.

        Yields:
            Events in order without a gap; the last one tells the terminal state.

        Raises:
            NotFoundError: There is no such run, or it was deleted meanwhile.
            OutOfRangeError: The run has ended before that number.
            UnavailableError: The service stops.
        """
        tail = self._tails.get(name)
        if tail is None:
            tail = self._tails[name] = _Tail(
                self._kind, name, self._store, self._records, self._threads
            )
        tail.watchers += 1
        try:
            async with contextlib.aclosing(self._follow(tail, after)) as events:
                async for event in events:
                    yield event
        finally:
            tail.watchers -= 1
            if not tail.watchers:
                await self._drop(tail)

    async def _follow(
        self, tail: "_Tail[M]", position: int
    ) -> AsyncGenerator[event_pb2.Event, None]:
        await tail.started()
        if tail.is_complete and position >= tail.end:
            raise OutOfRangeError(
                f"The run has ended, its last event is {tail.end - 1}; watch after an earlier one."
            )
        while True:
            events = await tail.read(position)
            for event in events:
                yield event
                position = event.sequence
            if events:
                continue
            if tail.is_complete and position + 1 >= tail.end:
                return
            if not await tail.wait(position, self._heartbeat):
                yield _heartbeat(position)

    async def _drop(self, tail: "_Tail[M]") -> None:
        if self._tails.get(tail.name) is tail:
            del self._tails[tail.name]
        await tail.stop()

    def poke(self, name: str) -> None:
        """Looks for news of a run at once, if it is watched."""
        tail = self._tails.get(name)
        if tail is not None:
            tail.poke()

    async def close(self) -> None:
        """Ends all watches with `UnavailableError`: their callers come back to another replica."""
        for tail in list(self._tails.values()):
            await tail.stop(UnavailableError("The service stops; watch again."))
        self._threads.shutdown(wait=False)


class _Tail(Generic[M]):
    """The newest events of one run, kept up with the store while it is watched.

    Attributes:
        name: Resource name of the run.
        watchers: Number of watchers.
        end: Number that the next event gets.
        is_complete: Whether the terminal event is in.
    """

    def __init__(
        self,
        kind: RunKind[M],
        name: str,
        store: ObjectStore,
        records: RecordStore,
        threads: ThreadPoolExecutor,
    ) -> None:
        self.name = name
        self.watchers = 0
        self.end = 1
        self.is_complete = False
        self._kind = kind
        self._store = store
        self._records = records
        self._threads = threads
        self._window: deque[event_pb2.Event] = deque(maxlen=_WINDOW_EVENTS)
        self._error: AimassError | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._poked = asyncio.Event()
        self._start: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())

    async def started(self) -> None:
        """Waits for the first look. Raises what it raised."""
        await asyncio.shield(self._start)

    async def read(self, position: int) -> Sequence[event_pb2.Event]:
        """Returns events after a position: those in memory, or older ones from the store."""
        if self._error is not None:
            raise self._error
        first = self.end - len(self._window)
        if position + 1 >= first:
            skipped = position + 1 - first
            return [event for number, event in enumerate(self._window) if number >= skipped]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read_stored, position, first)

    def _read_stored(self, position: int, end: int) -> list[event_pb2.Event]:
        events: list[event_pb2.Event] = []
        with contextlib.closing(read_events(self._store, self.name, position)) as stored:
            for event in stored:
                if event.sequence >= end or len(events) == _CATCH_UP_EVENTS:
                    break
                events.append(event)
        return events

    async def wait(self, position: int, seconds: float) -> bool:
        """Waits for events after a position. Returns whether there are any, or an end."""
        if position + 1 < self.end or self.is_complete or self._error is not None:
            return True
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        try:
            async with asyncio.timeout(seconds):
                await woken
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(woken)
        return True

    def poke(self) -> None:
        """Looks at once."""
        self._poked.set()

    async def stop(self, error: AimassError | None = None) -> None:
        """Ends the tail; watchers that are left get the error."""
        self._error = error
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._wake()

    async def _run(self) -> None:
        try:
            await self._look(self._first_look)
            self._start.set_result(None)
            await self._keep_up()
        except Exception as error:
            await self._break(error)

    async def _keep_up(self) -> None:
        pause = _SHORTEST_POLL_SECONDS
        while not self.is_complete:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poked.wait(), pause)
            is_told = self._poked.is_set()
            self._poked.clear()
            try:
                has_news = await self._look(self._next_look)
            except UnavailableError as error:
                _log.warning("cannot follow %s: %s", self.name, error)
                has_news = False
            if is_told:
                pause = _LONGEST_POLL_SECONDS
            elif has_news:
                pause = _SHORTEST_POLL_SECONDS
            else:
                pause = min(pause * 1.2, _LONGEST_POLL_SECONDS)

    async def _break(self, error: Exception) -> None:
        known = error if isinstance(error, AimassError) else None
        if known is None:
            _log.exception("the tail of %s breaks", self.name)
        self._error = known or AimassError("The watch broke; watch again.")
        if not self._start.done():
            self._start.set_exception(self._error)
            # Also where nobody waits any more.
            self._start.exception()
        await self._wake()

    async def _look(self, read: Callable[[], "_News[M]"]) -> bool:
        """Takes in what is new in the store. Returns whether there was anything."""
        news = await asyncio.get_running_loop().run_in_executor(self._threads, read)
        events = news.events
        end = events[-1].sequence + 1 if events else self.end
        if is_terminal(news.run) and end == status_of(news.run).last_sequence:
            events.append(terminal_event(news.run))
            end += 1
            self.is_complete = True
        self._window.extend(events)
        self.end = end
        if events:
            await self._wake()
        return bool(events)

    def _first_look(self) -> "_News[M]":
        # The record first: what it says to be the end is then sure to be stored.
        run = self._records.get(self.name, self._kind.message).resource
        after = max(find_end(self._store, self.name) - 1 - _WINDOW_EVENTS, 0)
        return _News(run, list(read_events(self._store, self.name, after)))

    def _next_look(self) -> "_News[M]":
        run = self._records.get(self.name, self._kind.message).resource
        news = _News(run, [])
        end = self.end
        while segment := read_segment(self._store, self.name, end):
            news.events.extend(segment.events)
            end = segment.end
        return news

    async def _wake(self) -> None:
        waiting = list(self._waiting)
        for start in range(0, len(waiting), _WOKEN_AT_ONCE):
            for woken in waiting[start : start + _WOKEN_AT_ONCE]:
                if not woken.done():
                    woken.set_result(None)
            await asyncio.sleep(0)


@dataclass(frozen=True)
class _News(Generic[M]):
    """What one look found: the run, and stored events that were not known."""

    run: M
    events: list[event_pb2.Event]


def _heartbeat(position: int) -> event_pb2.Event:
    event = event_pb2.Event(heartbeat=event_pb2.Heartbeat(last_sequence=position))
    event.time.GetCurrentTime()
    return event
