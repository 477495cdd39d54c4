"""Safe delete: ACTIVE -> DELETING -> DELETED, or back.

DELETING destroys nothing: readers still see the resource. A deletion that was left in DELETING by a
crash is completed by the next Delete, or backed out by the next writer or referrer once it is
`ABANDONED` old. The tombstone names what is still to be removed; the next Delete, or a create anew,
completes that.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from common.artifacts import ObjectChangedError
from common.artifacts.purge import purge_prefix
from common.errors import AimassError, FailedPreconditionError, UnavailableError
from common.records.envelope import M, RecordState, Stored
from common.records.objects import ABANDONED, RecordObjects, not_found
from common.records.references import References

# A cleaner gives up long before another may take its work for abandoned: it never meets the keys of
# a resource that was created anew.
CLEANUP_SECONDS = ABANDONED.total_seconds() / 2

_NAMED_REFERRERS = 5


class Deletion:
    """Deletes records and what belongs to them. Safe to use from several threads."""

    def __init__(self, objects: RecordObjects, references: References) -> None:
        """Works on these records and reverse markers."""
        self._objects = objects
        self._references = references

    def delete(
        self,
        name: str,
        message_type: type[M],
        check: Callable[[M], None] | None,
        purge: Sequence[str],
    ) -> None:
        """Deletes a resource. See `RecordStore.delete`."""
        while True:
            stored = self._objects.find(name)
            if stored is None or stored.envelope.cleaned:
                raise not_found(name)
            try:
                if stored.exists:
                    _check(stored, message_type, check)
                    marked = self._mark(stored)
                    self._check_again(marked, message_type, check)
                    stored = self._entomb(marked, purge)
            except ObjectChangedError:
                continue
            return self.clean(stored)

    def clean(self, tombstone: Stored) -> None:
        """Removes what the tombstone names. Safe to repeat, and for several callers at once.

        Raises:
            UnavailableError: If it takes longer than `CLEANUP_SECONDS`. Repeat it.
        """
        deadline = time.monotonic() + CLEANUP_SECONDS
        envelope = tombstone.envelope
        for prefix in envelope.purge:
            if not purge_prefix(self._objects.store, prefix, deadline):
                raise UnavailableError(f"{tombstone.name} is not yet gone; delete it again.")
        for target in envelope.references:
            self._references.remove(tombstone.name, target)
        self._references.remove_all(tombstone.name)
        cleaned = replace(envelope.next(RecordState.DELETED), purge=(), references=(), cleaned=True)
        try:
            self._objects.swap(tombstone, cleaned)
        except ObjectChangedError:
            return  # Another caller has cleaned up meanwhile.

    def _mark(self, stored: Stored) -> Stored:
        if stored.envelope.state is RecordState.DELETING:
            return stored
        return self._objects.swap(stored, stored.envelope.next(RecordState.DELETING))

    def _check_again(
        self, marked: Stored, message_type: type[M], check: Callable[[M], None] | None
    ) -> None:
        """Checks once nobody can refer to the resource any more; backs out where that refuses."""
        try:
            _check(marked, message_type, check)
        except AimassError:
            self._objects.swap(marked, marked.envelope.next(RecordState.ACTIVE))
            raise

    def _entomb(self, marked: Stored, purge: Sequence[str]) -> Stored:
        referrers = list(
            itertools.islice(self._references.referrers(marked.name), _NAMED_REFERRERS + 1)
        )
        if referrers:
            self._objects.swap(marked, marked.envelope.next(RecordState.ACTIVE))
            raise _in_use(marked.name, referrers)
        tombstone = replace(
            marked.envelope.next(RecordState.DELETED), resource={}, purge=tuple(purge)
        )
        return self._objects.swap(marked, tombstone)


def _check(stored: Stored, message_type: type[M], check: Callable[[M], None] | None) -> None:
    if check is not None:
        check(stored.record(message_type).resource)


def _in_use(name: str, referrers: Sequence[str]) -> FailedPreconditionError:
    named = ", ".join(referrers[:_NAMED_REFERRERS])
    more = " and more" if len(referrers) > _NAMED_REFERRERS else ""
    return FailedPreconditionError(
        f"{name} is used by {named}{more}; delete those first.", reason="IN_USE"
    )
