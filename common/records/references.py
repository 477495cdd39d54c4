"""Reverse markers: which resources refer to a resource.

A referrer writes its marker first and then reads its target again; whoever deletes the target first
writes DELETING and then looks for markers. So at least one of the two sees the other.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from datetime import timedelta

from common.artifacts import ObjectInfo, ObjectMissingError
from common.errors import FailedPreconditionError, NotFoundError
from common.names import validate_name
from common.records.objects import RecordObjects

# A marker whose referrer does not exist is that of a create in flight, or was left by a crash. It
# counts for this long.
IN_FLIGHT = timedelta(minutes=10)


class References:
    """The reverse markers of resources. Safe to use from several threads."""

    def __init__(self, objects: RecordObjects) -> None:
        """Works on the store of these records."""
        self._objects = objects
        self._store = objects.store

    def add(self, referrer: str, target: str) -> str:
        """Makes `referrer` hold `target`. Returns the key of the marker.

        Raises:
            NotFoundError: If the target does not exist.
            FailedPreconditionError: If it is being deleted.
        """
        # Every call has a marker of its own: a call that is refused must not take away the marker
        # of another that was not.
        key = f"{_prefix(referrer, target)}{secrets.token_hex(8)}.json"
        self._store.write(key, json.dumps({"referrer": referrer}).encode())
        try:
            self._objects.writable(target)
        except (NotFoundError, FailedPreconditionError):
            self._store.delete(key)
            raise
        return key

    def drop(self, keys: Iterable[str]) -> None:
        """Removes markers that `add` returned."""
        for key in keys:
            self._store.delete(key)

    def remove(self, referrer: str, target: str) -> None:
        """Makes `referrer` let go of `target`. Nothing happens where it does not hold it."""
        for info in self._store.list(_prefix(referrer, target)):
            self._store.delete(info.key)

    def remove_all(self, target: str) -> None:
        """Removes every marker of a target that is gone."""
        for info in self._markers(target):
            self._store.delete(info.key)

    def referrers(self, target: str) -> Iterator[str]:
        """Yields the names of the resources that hold `target`."""
        seen: set[str] = set()
        for info in self._markers(target):
            referrer = self._referrer(info)
            if referrer is None or referrer in seen:
                continue
            seen.add(referrer)
            if info.now - info.modified < IN_FLIGHT or self._exists(referrer):
                yield referrer

    def _markers(self, target: str) -> Iterator[ObjectInfo]:
        return self._store.list(f"references/{validate_name(target)}/", recursive=False)

    def _referrer(self, info: ObjectInfo) -> str | None:
        try:
            data, _ = self._store.read(info.key)
        except ObjectMissingError:
            return None
        return str(json.loads(data)["referrer"])

    def _exists(self, referrer: str) -> bool:
        stored = self._objects.find(referrer)
        return stored is not None and stored.exists


def _prefix(referrer: str, target: str) -> str:
    digest = hashlib.sha256(validate_name(referrer).encode()).hexdigest()
    return f"references/{validate_name(target)}/{digest}."
