"""The stored events of a run: a chain of objects, each named for the number of its first event.

Only the end of the chain is ever written, by a conditional create, so it has no gaps and no number
is given twice, whoever writes.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from google.protobuf import json_format

from aimass.type.v1 import event_pb2
from common.artifacts.protocol import ObjectChangedError, ObjectMissingError, ObjectStore
from common.errors import FencedError

MAX_SEGMENT_EVENTS = 500
_READERS = 8
_READ_AHEAD = 64


@dataclass(frozen=True)
class Segment:
    """Some consecutive events, written in one go.

    Attributes:
        first: Number of the first event.
        attempt: The attempt that wrote them.
        events: The events.
    """

    first: int
    attempt: int
    events: tuple[event_pb2.Event, ...]

    @property
    def end(self) -> int:
        """Number of the event after the last one."""
        return self.first + len(self.events)

    def encode(self) -> bytes:
        """Returns the object's bytes."""
        events = [json_format.MessageToDict(event) for event in self.events]
        return json.dumps({"attempt": self.attempt, "events": events}).encode()

    @classmethod
    def decode(cls, first: int, data: bytes) -> "Segment":
        """Reads what `encode` wrote."""
        content = json.loads(data)
        events = tuple(json_format.ParseDict(item, event_pb2.Event()) for item in content["events"])
        return cls(first, content["attempt"], events)


def events_prefix(run: str) -> str:
    """Returns the prefix of a run's events."""
    return f"runs/{run}/events/"


def segment_key(run: str, first: int) -> str:
    """Returns the key of the segment that begins with this number."""
    return f"{events_prefix(run)}{first:012}.json"


def _first_of(key: str) -> int:
    return int(key.rpartition("/")[2].removesuffix(".json"))


def read_segment(store: ObjectStore, run: str, first: int) -> Segment | None:
    """Returns the segment that begins with this number, or None when there is none."""
    try:
        data, _ = store.read(segment_key(run, first))
    except ObjectMissingError:
        return None
    return Segment.decode(first, data)


def read_events(
    store: ObjectStore, run: str, after: int = 0
) -> Generator[event_pb2.Event, None, None]:
    """Yields the stored events of a run that have a larger number than `after`, in order.

    Segments are read ahead by a few threads. The terminal event is not among them: see
    `kind.terminal_event`.
    """
    for segment in _read_segments(store, run, _segment_firsts(store, run, after)):
        for event in segment.events:
            if event.sequence > after:
                yield event


def _segment_firsts(store: ObjectStore, run: str, after: int) -> Iterator[int]:
    """Yields where segments begin, from the one that holds `after + 1` on."""
    # That one begins at most so far before it.
    lowest = max(after + 1 - MAX_SEGMENT_EVENTS, 0)
    held = 0
    for info in store.list(events_prefix(run), after=segment_key(run, lowest)):
        first = _first_of(info.key)
        if first <= after + 1:
            held = first
            continue
        if held:
            yield held
            held = 0
        yield first
    if held:
        yield held


def _read_segments(store: ObjectStore, run: str, firsts: Iterator[int]) -> Iterator[Segment]:
    first = next(firsts, None)
    if first is None:
        return
    with ThreadPoolExecutor(_READERS, thread_name_prefix="events") as readers:
        ahead = [first, *islice(firsts, _READ_AHEAD - 1)]
        while ahead:
            for segment in readers.map(lambda item: read_segment(store, run, item), ahead):
                if segment is None:
                    return
                yield segment
            ahead = list(islice(firsts, _READ_AHEAD))


def find_last(store: ObjectStore, run: str) -> Segment | None:
    """Returns the newest segment of a run, or None where there is none."""
    last = 0
    for info in store.list(events_prefix(run)):
        last = _first_of(info.key)
    return read_segment(store, run, last) if last else None


def find_end(store: ObjectStore, run: str) -> int:
    """Returns the number that the next event of a run gets."""
    segment = find_last(store, run)
    return segment.end if segment else 1


class SegmentWriter:
    """Appends to the chain for one attempt. For one thread at a time.

    Args:
        store: Where the events live.
        run: Resource name of the run.
        attempt: The attempt that writes; a newer one fences it off with its first segment.
    """

    def __init__(self, store: ObjectStore, run: str, attempt: int) -> None:
        self._store = store
        self._run = run
        self._attempt = attempt
        self._next: int | None = None

    @property
    def last_sequence(self) -> int:
        """Number of the newest event known to be stored."""
        return (self._next or 1) - 1

    def append(self, events: Sequence[event_pb2.Event]) -> None:
        """Numbers the events and stores them as one segment.

        Args:
            events: 1 to `MAX_SEGMENT_EVENTS` events. After an `UnavailableError` call again with
                the same ones: they may have been stored.

        Raises:
            FencedError: A newer attempt has written to the chain.
            UnavailableError: The store is away.
        """
        if self._next is None:
            self._next = self._find_end()
        while True:
            segment = self._numbered(events, self._next)
            data = segment.encode()
            try:
                self._store.create(segment_key(self._run, segment.first), data)
            except ObjectChangedError:
                if not self._is_stored(segment, data):
                    continue
            self._next = segment.end
            return

    def _find_end(self) -> int:
        last = find_last(self._store, self._run)
        # One of the same attempt is no rival: who closes a run that was given up keeps its number.
        if last is not None and last.attempt > self._attempt:
            raise self._fenced_by(last)
        return last.end if last else 1

    def _fenced_by(self, other: Segment) -> FencedError:
        return FencedError(f"Attempt {other.attempt} of {self._run} has written events.")

    def _numbered(self, events: Sequence[event_pb2.Event], first: int) -> Segment:
        for sequence, event in enumerate(events, first):
            event.sequence = sequence
            event.attempt = self._attempt
        return Segment(first, self._attempt, tuple(events))

    def _is_stored(self, segment: Segment, data: bytes) -> bool:
        """Looks at what is in the way, and steps behind it when an older attempt wrote it."""
        found, _ = self._store.read(segment_key(self._run, segment.first))
        if found == data:
            return True
        other = Segment.decode(segment.first, found)
        if other.attempt >= self._attempt:
            raise self._fenced_by(other)
        self._next = other.end
        return False
