"""Create, idempotent where the client gave a request id.

The request object comes first, then the reverse markers of the references, then the record. A
repeat goes through the same steps and finds what is there already.
"""

from collections.abc import Sequence

from common.artifacts import ObjectChangedError
from common.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from common.names import validate_name
from common.records.deletion import Deletion
from common.records.envelope import Envelope, M, Record, Stored, name_of, renamed, to_json
from common.records.objects import ABANDONED, RecordObjects
from common.records.references import References
from common.records.requests import RequestId, Reservation, find_reservation, reserve


class Creation:
    """Creates records. Safe to use from several threads."""

    def __init__(self, objects: RecordObjects, references: References, deletion: Deletion) -> None:
        """Works on these records; `deletion` removes what a former resource left."""
        self._objects = objects
        self._references = references
        self._deletion = deletion

    def create(
        self, resource: M, request: RequestId | None, references: Sequence[str], *, is_new: bool
    ) -> Record[M]:
        """Stores a new resource. See `RecordStore.create`."""
        name = wanted = validate_name(name_of(resource))
        # What the first write expects under the name: it tells where there is something else.
        current = None if is_new else self._vacant(name)
        reservation = self._reserve(name, current, request) if request is not None else None
        if reservation is not None:
            name = reservation.name
        if name != wanted:
            current = self._vacant(name)
        tag = request.key if request is not None else ""
        draft = Envelope(
            0, to_json(renamed(resource, name)), request=tag, references=tuple(references)
        )
        while True:
            if current is not None and _is_result(current, tag, reservation):
                return current.record(type(resource))
            try:
                return self._write(name, current, draft).record(type(resource))
            except ObjectChangedError:
                current = self._vacant(name)

    def _reserve(self, name: str, current: Stored | None, request: RequestId) -> Reservation:
        """Binds the request to a name; returns what it is bound to, maybe by an earlier call."""
        if current is not None and current.exists and current.envelope.request != request.key:
            known = find_reservation(self._objects.store, request)
            if known is None:
                raise _taken(name)
            return known
        base = 0 if current is None else current.envelope.revision
        return reserve(self._objects.store, request, name, base)

    def _write(self, name: str, current: Stored | None, draft: Envelope) -> Stored:
        """Stores the record after its reverse markers. Raises `ObjectChangedError`."""
        held: list[str] = []
        try:
            for target in draft.references:
                held.append(self._references.add(name, target))
            return self._objects.put(name, current, draft)
        except (ObjectChangedError, NotFoundError, FailedPreconditionError):
            # Nothing was created. (After an UnavailableError it may have been: the markers stay.)
            self._references.drop(held)
            raise

    def _vacant(self, name: str) -> Stored | None:
        """Returns what is stored under a name, once nothing of a deleted resource is left.

        Raises:
            FailedPreconditionError: If somebody is still removing that.
        """
        while True:
            current = self._objects.find(name)
            if current is None or current.exists or current.envelope.cleaned:
                return current
            if current.age < ABANDONED:
                raise FailedPreconditionError(
                    f"The former {name} is still being deleted; try again in a minute.",
                    reason="BEING_DELETED",
                )
            self._deletion.clean(current)


def _is_result(current: Stored, tag: str, reservation: Reservation | None) -> bool:
    """Says whether a record came of an earlier call with the same request id.

    Raises:
        AlreadyExistsError: If it came of another call.
        NotFoundError: If it did, and has been deleted since.
    """
    if not current.exists:
        if reservation is not None and current.envelope.revision > reservation.base:
            raise NotFoundError(
                f"{current.name} was created by this request and has been deleted since."
            )
        return False
    if not tag or current.envelope.request != tag:
        raise _taken(current.name)
    return True


def _taken(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"{name} exists already; choose another id.")
