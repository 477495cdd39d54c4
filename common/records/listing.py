"""Lists of resources: filtered, ordered, in pages, from an index in memory."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple

from common.names import validate_collection
from common.paging import MAX_PAGE_BYTES, check_page_size, decode_token, encode_token
from common.records.envelope import M, Record, Stored, descriptor_of
from common.records.filters import compile_filter
from common.records.index import Index, Position
from common.records.objects import RecordObjects
from common.records.ordering import Key, Order, compile_order

Complete = Callable[[M], M]


class Page(NamedTuple, Generic[M]):
    """A page of a list.

    Attributes:
        resources: The resources, newest first where no order was asked for.
        next_page_token: For the next page; empty on the last.
    """

    resources: list[M]
    next_page_token: str


@dataclass(frozen=True)
class Query(Generic[M]):
    """What a list is asked for, pages aside.

    Attributes:
        collection: For example `trainingRuns` or `datasets/digits/versions`.
        message_type: Type of the resources.
        filter: See `compile_filter`.
        order_by: See `compile_order`.
        max_age: What other processes did within so many seconds may be missing.
    """

    collection: str
    message_type: type[M]
    filter: str = ""
    order_by: str = ""
    max_age: float = 0.0

    @property
    def identity(self) -> tuple[str, ...]:
        """What a page token belongs to."""
        return self.collection, self.message_type.DESCRIPTOR.full_name, self.filter, self.order_by


class _Entry(NamedTuple, Generic[M]):
    """A record that matches.

    Attributes:
        key: What it is ordered by; empty for the usual order.
        position: Where it stands in the usual order.
        record: The record.
    """

    key: Key
    position: Position
    record: Record[M]


class Lists:
    """The lists of all collections. Safe to use from several threads."""

    def __init__(self, objects: RecordObjects) -> None:
        """Lists these records."""
        self._objects = objects
        # Any: indexes of different message types live side by side; `_index` checks the type.
        self._indexes: dict[tuple[str, str], Index[Any]] = {}
        self._lock = threading.Lock()

    def page(
        self,
        query: Query[M],
        page_size: int,
        page_token: str,
        complete: Complete[M] | None = None,
        summary: Complete[M] | None = None,
    ) -> Page[M]:
        """Returns a page. See `RecordStore.list`."""
        size = check_page_size(page_size)
        token = decode_token(query.identity, page_token) if page_token else None
        order = compile_order(query.order_by, descriptor_of(query.message_type))
        if order is None:
            entries = self._matching(query, _position(token) if token else None, complete)
        else:
            entries = _ordered(self._matching(query, None, complete), order, token)
        found: list[M] = []
        room = MAX_PAGE_BYTES
        last: tuple[str | int | float | None, ...] = ()
        for entry in entries:
            resource = _copy(entry.record.resource)
            if summary is not None:
                resource = summary(resource)
            room -= resource.ByteSize()
            if found and (len(found) == size or room < 0):
                return Page(found, encode_token(query.identity, last))
            found.append(resource)
            last = (*entry.key, *entry.position)
        return Page(found, "")

    def all(self, query: Query[M]) -> Sequence[Record[M]]:
        """Returns all records that match, newest first. See `RecordStore.find`."""
        records = (entry.record for entry in self._matching(query, None, None))
        return [replace(record, resource=_copy(record.resource)) for record in records]

    def warm(self, collection: str, message_type: type[M]) -> None:
        """Reads a collection ahead of its first list."""
        self._index(collection, message_type).refresh()

    def note(self, stored: Stored) -> None:
        """Takes over a record that was read or written."""
        collection = stored.name.rpartition("/")[0]
        with self._lock:
            indexes = [index for key, index in self._indexes.items() if key[0] == collection]
        for index in indexes:
            index.note(stored)

    def _matching(
        self, query: Query[M], position: Position | None, complete: Complete[M] | None
    ) -> Iterator[_Entry[M]]:
        matches = compile_filter(query.filter, descriptor_of(query.message_type))
        index = self._index(query.collection, query.message_type)
        index.refresh(query.max_age)
        for place, record in index.after(position):
            whole = record
            if complete is not None:
                whole = replace(record, resource=complete(_copy(record.resource)))
            if matches(whole.resource):
                yield _Entry((), place, whole)

    def _index(self, collection: str, message_type: type[M]) -> Index[M]:
        key = validate_collection(collection), message_type.DESCRIPTOR.full_name
        with self._lock:
            index = self._indexes.get(key)
            if index is None:
                index = self._indexes[key] = Index(self._objects, collection, message_type)
            return index


def _ordered(
    entries: Iterator[_Entry[M]], order: Order, token: Sequence[str | int] | None
) -> Iterator[_Entry[M]]:
    items = [(order.key(entry.record.resource), entry) for entry in entries]
    order.sort(items)
    width = len(order.fields)
    for key, entry in items:
        if token is not None:
            is_after = order.is_after(key, token[:width])
            if is_after is None:
                is_after = entry.position > _position(token[width:])
            if not is_after:
                continue
        yield entry._replace(key=key)


def _copy(message: M) -> M:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _position(values: Sequence[str | int]) -> Position:
    return int(values[0]), str(values[1])
