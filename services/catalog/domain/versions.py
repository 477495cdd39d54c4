"""Lines of immutable versions: data sets and models alike."""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from common.artifacts import ObjectChangedError, ObjectMissingError, ObjectStore
from common.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidFieldError,
    NotFoundError,
)
from common.records import Page, RecordStore, RequestId
from common.records.requests import find_reservation
from common.wording import quoted

# Longer than a deletion takes that broke off half-way and is completed by another.
_WITHDRAWAL_SECONDS = 90.0
_PAUSE_SECONDS = 0.05
P = TypeVar("P", bound=Message)
V = TypeVar("V", bound=Message)


@dataclass(frozen=True)
class Line(Generic[P, V]):
    """A kind of line.

    Attributes:
        parent: Class of the line's resource; it has `name`, `latest_version` and `create_time`.
        version: Class of its versions; it has `name` and `create_time`.
    """

    parent: type[P]
    version: type[V]


class VersionName(Protocol):
    """What a parsed name of a version offers."""

    @property
    def name(self) -> str:
        """The resource name."""

    @property
    def number(self) -> int | None:
        """The number; None for the newest."""

    @property
    def alias(self) -> str:
        """What stands in the place of the number, other than `latest`; or empty."""


class _Parent(Protocol):
    name: str
    latest_version: int
    create_time: Timestamp


class _Version(Protocol):
    name: str
    create_time: Timestamp


class Versions(Generic[P, V]):
    """Creates, finds and deletes versions. Safe to use from several threads and processes.

    A number comes from a counter of its own, so that it is never given twice, not even after a
    deletion. The version is written next and the line's `latest_version` last, so that this never
    names a version that is not there. A crash in between costs at most a number.
    """

    def __init__(self, store: ObjectStore, records: RecordStore, line: Line[P, V]) -> None:
        """Works on the versions of one kind of line."""
        self._store = store
        self._records = records
        self._line = line

    def create(
        self, parent: str, version: V, request: RequestId | None, references: Sequence[str]
    ) -> V:
        """Stores a version under the next number, and makes the line where it is new.

        Args:
            parent: Name of the line.
            version: The version; name and time are set here.
            request: Identity of the call; a repeat returns the first result.
            references: Names of resources that the version needs.

        Raises:
            AlreadyExistsError: The request id was used for something else.
            NotFoundError: A reference does not exist.
            FailedPreconditionError: A reference is being deleted.
        """
        draft = self._line.version()
        draft.CopyFrom(version)
        cast(_Version, draft).create_time.GetCurrentTime()
        known = find_reservation(self._store, request) if request is not None else None
        name = known.name if known else f"{parent}/versions/{self._next_number(parent)}"
        cast(_Version, draft).name = name
        created = self._records.create(draft, request=request, references=references).resource
        self._raise_latest(parent, cast(_Version, created))
        return created

    def find_result(self, request: RequestId) -> V | None:
        """Returns what an earlier call with the same identity created; None if there is nothing.

        Completes that call, which may have broken off before `latest_version` was raised.
        """
        known = find_reservation(self._store, request)
        if known is None:
            return None
        try:
            found = self._records.get(known.name, self._line.version).resource
        except NotFoundError:
            return None
        self._raise_latest(known.name.partition("/versions/")[0], cast(_Version, found))
        return found

    def get(self, name: VersionName) -> V:
        """Returns a version, the newest that exists where the name says `latest`.

        Raises:
            NotFoundError: There is none.
        """
        if name.number is not None:
            return self._records.get(name.name, self._line.version).resource
        parent = name.name.partition("/versions/")[0]
        latest = cast(_Parent, self.get_parent(parent)).latest_version
        try:
            return self._records.get(f"{parent}/versions/{latest}", self._line.version).resource
        except (NotFoundError, InvalidFieldError):
            newest = self._newest(parent)
            if newest is None:
                raise NotFoundError(f"{parent} has no version.") from None
            return newest

    def get_parent(self, name: str) -> P:
        """Returns a line. Raises `NotFoundError`."""
        return self._records.get(name, self._line.parent).resource

    def list(
        self,
        parent: str,
        page_size: int,
        page_token: str,
        summary: Callable[[V], V] | None = None,
        *,
        filter: str = "",
        order_by: str = "",
        complete: Callable[[V], V] | None = None,
    ) -> Page[V]:
        """Returns a page of a line's versions, newest first.

        Args:
            parent: Name of the line.
            page_size: 1 to 1000; 0 for the default.
            page_token: `next_page_token` of the previous page.
            summary: Shortens a version for the list.
            filter: See `compile_filter`.
            order_by: See `compile_order`.
            complete: Adds what is not stored, before the filter sees it.

        Raises:
            NotFoundError: There is no such line.
            InvalidFieldError: Naming `filter`, `order_by`, `page_size` or `page_token`.
        """
        self.get_parent(parent)
        return self._records.list(
            f"{parent}/versions",
            self._line.version,
            filter=filter,
            order_by=order_by,
            page_size=page_size,
            page_token=page_token,
            complete=complete,
            summary=summary,
        )

    def delete(
        self,
        name: VersionName,
        purge: Callable[[V], Sequence[str]] | None = None,
        check: Callable[[V], None] | None = None,
    ) -> None:
        """Deletes a version that nothing refers to.

        Args:
            name: The version; `latest` and aliases are refused.
            purge: Gives the prefixes of the keys that go with it.
            check: See `RecordStore.delete`.

        Raises:
            InvalidFieldError: The name has no number.
            NotFoundError: There is no such version.
            FailedPreconditionError: Something refers to it; names that.
        """
        if name.number is None:
            raise InvalidFieldError(
                "name",
                f"must name a version by its number to delete it, not as {quoted(name.name)}",
            )
        prefixes: Sequence[str] = ()
        # A deletion that broke off keeps its prefixes in the tombstone; the repeat completes it.
        with contextlib.suppress(NotFoundError):
            version = self._records.get(name.name, self._line.version).resource
            prefixes = purge(version) if purge is not None else ()
        try:
            self._records.delete(name.name, self._line.version, check=check, purge=prefixes)
        finally:
            parent = name.name.partition("/versions/")[0]
            with contextlib.suppress(NotFoundError):
                self._records.update(parent, self._line.parent, self._with_newest)

    def withdraw(self, name: VersionName) -> None:
        """Deletes a version, and its line where it has no other: as if it had never been made.

        Raises:
            FailedPreconditionError: Something refers to the version; names that.
        """
        with contextlib.suppress(NotFoundError):
            self.delete(name)
        parent = name.name.partition("/versions/")[0]
        with contextlib.suppress(NotFoundError, FailedPreconditionError):
            self._records.delete(parent, self._line.parent, check=_require_empty)

    def _next_number(self, parent: str) -> int:
        """Counts up and returns the new number."""
        key = f"counters/{parent}.json"
        while True:
            try:
                data, info = self._store.read(key)
            except ObjectMissingError:
                number, etag = 1, ""
            else:
                number, etag = int(json.loads(data)["last"]) + 1, info.etag
            body = json.dumps({"last": number}).encode()
            try:
                if etag:
                    self._store.replace(key, body, etag)
                else:
                    self._store.create(key, body)
            except ObjectChangedError:
                continue
            return number

    def _raise_latest(self, parent: str, version: _Version) -> None:
        number = _number(version.name)

        def change(line: P) -> P | None:
            latest = cast(_Parent, line)
            if latest.latest_version >= number:
                return None
            latest.latest_version = number
            return line

        line = self._line.parent()
        new = cast(_Parent, line)
        new.name, new.latest_version = parent, number
        new.create_time.CopyFrom(version.create_time)
        deadline = time.monotonic() + _WITHDRAWAL_SECONDS
        while True:
            try:
                self._create_or_update(line, change)
            except (NotFoundError, FailedPreconditionError):
                # The only version before this one is being withdrawn, and the line with it.
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def _create_or_update(self, line: P, change: Callable[[P], P | None]) -> None:
        try:
            self._records.create(line)
        except AlreadyExistsError:
            self._records.update(cast(_Parent, line).name, self._line.parent, change)

    def _with_newest(self, line: P) -> P | None:
        parent = cast(_Parent, line)
        newest = self._newest(parent.name)
        number = _number(cast(_Version, newest).name) if newest is not None else 0
        if parent.latest_version == number:
            return None
        parent.latest_version = number
        return line

    def _newest(self, parent: str) -> V | None:
        found = self._records.find(f"{parent}/versions", self._line.version)
        versions = (record.resource for record in found)
        return max(versions, key=lambda item: _number(cast(_Version, item).name), default=None)


def _require_empty(line: Message) -> None:
    if cast(_Parent, line).latest_version:
        raise FailedPreconditionError("It has a version.", reason="NOT_EMPTY")


def _number(name: str) -> int:
    return int(name.rpartition("/")[2])
