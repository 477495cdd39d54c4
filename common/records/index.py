"""A collection's records in memory, kept up with the store by the etags of LIST."""

import logging
import math
import threading
import time
import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from common.errors import DataLossError, InvalidFieldError, UnavailableError
from common.records.envelope import M, Record, RecordState, Stored, descriptor_of
from common.records.objects import RecordObjects
from common.records.snapshots import Snapshots

# Where an entry stands in a list: newest first, then by name.
Position = tuple[int, str]

_THREADS = 8
# A long LIST is sent again only after this many times its duration.
_REST = 4.0
# Longest lag that a caller is served with, in seconds.
_MAX_LAG = 10.0
# An index whose LIST is long is refreshed so often, for so long after it was last asked for.
_KEEP_INTERVAL = 6.0
_KEEP_SECONDS = 600.0
# So many reads of a new process are worth a snapshot; more where the collection is larger.
_SNAPSHOT_READS = 200
_SNAPSHOT_SHARE = 0.1

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry(Generic[M]):
    """A record in the index.

    Attributes:
        etag: The store's etag.
        revision: Revision of the record.
        refresh: Number of the last refresh that had begun when the entry was made.
        position: Where it stands.
        record: The record; None for a tombstone.
    """

    etag: str
    revision: int
    refresh: int
    position: Position
    record: Record[M] | None


class Index(Generic[M]):
    """The records of one collection. Safe to use from several threads."""

    def __init__(
        self,
        objects: RecordObjects,
        collection: str,
        message_type: type[M],
        cheap: float = 0.15,
    ) -> None:
        """Makes an empty index; `refresh` fills it.

        Args:
            objects: The records.
            collection: For example `trainingRuns` or `datasets/digits/versions`.
            message_type: Type of the resources.
            cheap: A LIST that takes at most this long, in seconds, is sent for every `refresh`.
        """
        self._objects = objects
        self._collection = collection
        self._type = message_type
        self._created = _creation_time(descriptor_of(message_type))
        self._entries: dict[str, _Entry[M]] = {}
        # The records in order; those that were replaced since are replaced in place.
        self._sorted: tuple[list[Position], list[Record[M]]] | None = None
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._begun = 0
        self._done = 0
        self._loaded = -math.inf
        self._cost = 0.0
        self._cheap = cheap
        self._snapshots = Snapshots(objects.store, collection, message_type)
        # Names of what the snapshot does not have.
        self._drift: set[str] = set()
        self._writing = threading.Lock()
        self._asked = 0.0
        self._keeper: threading.Thread | None = None

    def refresh(self, max_age: float = 0.0) -> None:
        """Brings the index up to what the store holds now.

        Where that takes long, at about 2,000 records and more, the index lags behind other
        processes instead: by some times the duration of a LIST, at most `_MAX_LAG` seconds. It is
        kept up in the background then, so that a caller after a pause need not wait either.

        Args:
            max_age: What other processes did within so many seconds may be missing.
        """
        self._asked = time.monotonic()
        if self._asked - self._loaded <= max_age:
            return
        if self._cost <= self._cheap:
            self._refresh_now()
            return
        self._keep_up()
        age = time.monotonic() - self._loaded
        if age > _MAX_LAG:
            self._refresh_now()
        elif age > _REST * self._cost and not self._refreshing.locked():
            threading.Thread(target=self._refresh_quietly, name="index", daemon=True).start()

    def _keep_up(self) -> None:
        with self._lock:
            if self._keeper is not None and self._keeper.is_alive():
                return
            self._keeper = threading.Thread(
                target=_keep, args=(weakref.ref(self),), name="index-keeper", daemon=True
            )
            self._keeper.start()

    def keep(self) -> bool:
        """Refreshes the index where it is time to. Returns whether it was asked for lately."""
        is_wanted = time.monotonic() - self._asked < _KEEP_SECONDS
        if is_wanted and time.monotonic() - self._loaded > _KEEP_INTERVAL / 2:
            self._refresh_quietly()
        return is_wanted

    def _refresh_now(self) -> None:
        with self._lock:
            wanted = self._begun + 1
        with self._refreshing:
            if self._done >= wanted:
                return  # Another thread's refresh began after this call did.
            with self._lock:
                self._begun += 1
            began = time.monotonic()
            self._load()
            self._done = self._begun
            self._loaded = began

    def _refresh_quietly(self) -> None:
        try:
            self._refresh_now()
        except UnavailableError as error:
            # The next caller tries again, and waits for it once the lag is too long.
            _logger.warning("index of %s: %s", self._collection, error.private)

    def note(self, stored: Stored) -> None:
        """Takes over a record that was read or written."""
        with self._lock:
            known = self._entries.get(stored.name)
        if known is not None and known.etag == stored.etag:
            return
        record = stored.record(self._type) if stored.exists else None
        if self._put(stored.name, stored.etag, stored.envelope.revision, record):
            self._drift.add(stored.name)

    def _put(self, name: str, etag: str, revision: int, record: Record[M] | None) -> bool:
        position = 0 if record is None else -self._created(record.resource), name
        with self._lock:
            known = self._entries.get(name)
            if known is not None and known.revision > revision:
                return False
            entry = _Entry(etag, revision, self._begun, position, record)
            self._entries[name] = entry
            if known is None or not self._has_replaced(known, entry):
                self._sorted = None
            return True

    def _has_replaced(self, known: _Entry[M], entry: _Entry[M]) -> bool:
        """Puts an entry where another stood in the order. Returns whether there is such a place."""
        if self._sorted is None or entry.record is None or known.record is None:
            return False
        if entry.position != known.position:
            return False
        positions, records = self._sorted
        records[bisect_left(positions, entry.position)] = entry.record
        return True

    def after(self, position: Position | None) -> Iterator[tuple[Position, Record[M]]]:
        """Yields the records behind a position, all for None, as they are now.

        They belong to the index: do not change them.
        """
        positions, records = self._snapshot()
        start = 0 if position is None else bisect_right(positions, position)
        for number in range(start, len(records)):
            yield positions[number], records[number]

    def _load(self) -> None:
        prefix = f"records/{self._collection}/"
        began = time.monotonic()
        infos = self._objects.store.list(prefix, recursive=False)
        etags = {
            info.key[len("records/") : -len(".json")]: info.etag
            for info in infos
            if info.key.endswith(".json")
        }
        self._cost = time.monotonic() - began
        changed = self._changed(etags)
        if len(changed) >= _SNAPSHOT_READS:
            self._take_snapshot(etags)
            changed = self._changed(etags)
        self._reload_all(changed)
        self._forget(etags)
        if len(self._drift) >= max(_SNAPSHOT_READS, _SNAPSHOT_SHARE * len(etags)):
            # Nobody waits for it: of thousands it takes a second of the processor.
            threading.Thread(target=self._write_snapshot, name="snapshot", daemon=True).start()

    def _changed(self, etags: dict[str, str]) -> list[str]:
        with self._lock:
            known = {name: entry.etag for name, entry in self._entries.items()}
        return [name for name, etag in etags.items() if known.get(name) != etag]

    def _take_snapshot(self, etags: dict[str, str]) -> None:
        for name, record in self._snapshots.read().items():
            if etags.get(name) == record.etag:
                exists = record.state is not RecordState.DELETED
                self._put(name, record.etag, record.revision, record if exists else None)

    def _write_snapshot(self) -> None:
        if not self._writing.acquire(blocking=False):
            return
        try:
            with self._lock:
                entries = list(self._entries.items())
                self._drift = set()
            gone = self._type()
            self._snapshots.write(
                entry.record or Record(name, gone, entry.revision, entry.etag, RecordState.DELETED)
                for name, entry in entries
            )
        except UnavailableError as error:
            _logger.warning("no snapshot of %s: %s", self._collection, error.private)
        finally:
            self._writing.release()

    def _reload_all(self, names: Sequence[str]) -> None:
        if len(names) == 1:
            self._reload(names[0])
        elif names:
            with ThreadPoolExecutor(min(_THREADS, len(names)), "index") as pool:
                list(pool.map(self._reload, names))

    def _reload(self, name: str) -> None:
        try:
            stored = self._objects.find(name)
            if stored is not None:
                self.note(stored)
        except (DataLossError, InvalidFieldError) as error:
            # One damaged or foreign object must not hide the others.
            _logger.error("%s %s", error.message, error.private)

    def _forget(self, etags: dict[str, str]) -> None:
        with self._lock:
            gone = [
                name
                for name, entry in self._entries.items()
                if name not in etags and entry.refresh < self._begun
            ]
            for name in gone:
                del self._entries[name]
                self._sorted = None

    def _snapshot(self) -> tuple[list[Position], list[Record[M]]]:
        with self._lock:
            if self._sorted is None:
                entries = sorted(self._entries.values(), key=lambda entry: entry.position)
                pairs = [(entry.position, entry.record) for entry in entries if entry.record]
                self._sorted = [position for position, _ in pairs], [record for _, record in pairs]
            return self._sorted


class _HasCreateTime(Protocol):
    create_time: Timestamp


class _HasStatus(Protocol):
    status: _HasCreateTime


def _keep(index: "weakref.ref[Index[Message]]") -> None:
    """Keeps an index up until nobody asks for it any more, or nobody has it."""
    while True:
        time.sleep(_KEEP_INTERVAL)
        kept = index()
        if kept is None or not kept.keep():
            return
        del kept


def _creation_time(descriptor: Descriptor) -> Callable[[Message], int]:
    """Returns what reads a message's time of creation in nanoseconds; 0 where it has none."""
    if "create_time" in descriptor.fields_by_name:
        return lambda message: cast(_HasCreateTime, message).create_time.ToNanoseconds()
    status = descriptor.fields_by_name.get("status")
    if status is None or status.message_type is None:
        return lambda message: 0
    if "create_time" not in status.message_type.fields_by_name:
        return lambda message: 0
    return lambda message: cast(_HasStatus, message).status.create_time.ToNanoseconds()
