"""Records as objects: find, create, swap."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from common.artifacts import ObjectChangedError, ObjectMissingError, ObjectStore
from common.errors import FailedPreconditionError, NotFoundError
from common.names import validate_name
from common.records.envelope import Envelope, RecordState, Stored, decode

# The command that lists what there is, by collection.
_LISTED_BY = {
    "analyses": "aimass runs list",
    "datasets": "aimass datasets list",
    "models": "aimass models list",
    "datasetImports": "aimass runs list",
    "modelImports": "aimass runs list",
    "outlierScans": "aimass runs list",
    "pruningRuns": "aimass runs list",
    "studies": "aimass studies list",
    "trainingRuns": "aimass runs list",
    "tuningPolicies": "aimass policies list",
    "tuningRuns": "aimass runs list",
}
# A deletion that has not ended after this time was abandoned: its caller crashed.
ABANDONED = timedelta(seconds=60)


class RecordObjects:
    """The envelopes of resources in an object store. Safe to use from several threads."""

    def __init__(self, store: ObjectStore, written: Callable[[Stored], None]) -> None:
        """Wraps a store.

        Args:
            store: Where the records are.
            written: Called with every envelope that was written here.
        """
        self.store = store
        self._written = written

    def find(self, name: str) -> Stored | None:
        """Returns what is stored under a name, a tombstone too, or None."""
        try:
            data, info = self.store.read(record_key(name))
        except ObjectMissingError:
            return None
        return decode(name, data, info)

    def require(self, name: str) -> Stored:
        """Returns what is stored under a name. Raises `NotFoundError`, also for a tombstone."""
        stored = self.find(name)
        if stored is None or not stored.exists:
            raise not_found(name)
        return stored

    def put(self, name: str, former: Stored | None, draft: Envelope) -> Stored:
        """Stores the first envelope of a new resource.

        Args:
            name: Resource name.
            former: The tombstone that lies under the name, or None.
            draft: The envelope; its revision is set here.

        Raises:
            ObjectChangedError: If there is something else under the name by now.
        """
        if former is not None:
            revision = former.envelope.revision + 1
            return self.swap(former, replace(draft, revision=revision))
        envelope = replace(draft, revision=1)
        etag = self.store.create(record_key(name), envelope.encode())
        return self._note(Stored(name, envelope, etag))

    def swap(self, stored: Stored, envelope: Envelope) -> Stored:
        """Replaces an envelope that must not have changed. Raises `ObjectChangedError`."""
        etag = self.store.replace(record_key(stored.name), envelope.encode(), stored.etag)
        return self._note(Stored(stored.name, envelope, etag))

    def writable(self, name: str) -> Stored:
        """Returns a record that is not being deleted; backs out an abandoned deletion.

        A deletion destroys nothing before its tombstone is written, so backing out is always safe.

        Raises:
            NotFoundError: If there is no such resource.
            FailedPreconditionError: If it is being deleted.
        """
        while True:
            stored = self.require(name)
            if stored.envelope.state is RecordState.ACTIVE:
                return stored
            if stored.age < ABANDONED:
                raise FailedPreconditionError(
                    f"{name} is being deleted; try again in a minute.", reason="BEING_DELETED"
                )
            try:
                return self.swap(stored, stored.envelope.next(RecordState.ACTIVE))
            except ObjectChangedError:
                continue

    def _note(self, stored: Stored) -> Stored:
        self._written(stored)
        return stored


def record_key(name: str) -> str:
    """Returns the object key of a resource. Raises `InvalidFieldError` for a wrong name."""
    return f"records/{validate_name(name)}.json"


def not_found(name: str) -> NotFoundError:
    """Returns the error for a resource that does not exist."""
    shown = _LISTED_BY.get(name.partition("/")[0], "")
    return NotFoundError(f"{name} does not exist.", help_command=shown)
