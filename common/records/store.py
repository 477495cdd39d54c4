"""Resources kept as objects."""

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from common.artifacts import ObjectChangedError, ObjectStore
from common.errors import ConflictError
from common.records.creation import Creation
from common.records.deletion import Deletion
from common.records.envelope import M, Record, Stored, name_of, to_json
from common.records.listing import Lists, Page, Query
from common.records.objects import RecordObjects
from common.records.references import References
from common.records.requests import RequestId

_MAX_SWAPS = 64
_MAX_PAUSE_SECONDS = 0.1


class RecordStore:
    """Resources as objects: one JSON object per resource, changed by compare-and-swap.

    Works for every proto message with a `name`. Safe to use from several threads and processes;
    any of them may die after any operation on the store. All methods raise `UnavailableError` when
    the store cannot be reached; what they were to do may have happened then.
    """

    def __init__(self, store: ObjectStore) -> None:
        """Keeps the resources in this store, under `records/`, `requests/` and `references/`."""
        self._objects = RecordObjects(store, self._note)
        self._references = References(self._objects)
        self._deletion = Deletion(self._objects, self._references)
        self._creation = Creation(self._objects, self._references, self._deletion)
        self._lists = Lists(self._objects)

    def get(self, name: str, message_type: type[M]) -> Record[M]:
        """Returns a resource, also one that somebody tries to delete at the moment.

        Raises:
            NotFoundError: If there is none.
            InvalidFieldError: If `name` is no resource name.
        """
        stored = self._objects.require(name)
        self._note(stored)
        return stored.record(message_type)

    def create(
        self,
        resource: M,
        *,
        request: RequestId | None = None,
        references: Sequence[str] = (),
        is_new: bool = False,
    ) -> Record[M]:
        """Stores a new resource.

        Args:
            resource: The resource, its `name` set.
            request: Identity of the call. A repeat returns the first result, under the name that
                the first call gave; also after a crash between any two of its steps.
            references: Names of resources that this one needs; they cannot be deleted before it.
            is_new: Whether the name was made by chance for this call: nobody looks whether it is
                taken before it is written. Where it is after all, the call fails.

        Raises:
            AlreadyExistsError: If there is a resource with that name, or the request id was used
                for another payload.
            NotFoundError: If a reference does not exist, or if the resource of a repeated request
                has been deleted since.
            FailedPreconditionError: If a reference, or the former resource of that name, is being
                deleted.
        """
        return self._creation.create(resource, request, references, is_new=is_new)

    def update(
        self,
        name: str,
        message_type: type[M],
        change: Callable[[M], M | None],
        *,
        etag: str = "",
    ) -> Record[M]:
        """Changes a resource by compare-and-swap.

        Args:
            name: Resource name.
            message_type: Type of the resource.
            change: Takes the resource and returns it changed, or None to leave it as it is. Called
                again with the newer state whenever another writer came first. Where the store
                failed in between, it may see a state that holds its own change already.
            etag: If given, the resource must still have it.

        Returns:
            The new record, or the present one where nothing changed.

        Raises:
            NotFoundError: If there is none.
            FailedPreconditionError: If it is being deleted.
            ConflictError: If `etag` does not match, or other writers came first too often.
        """
        for attempt in range(_MAX_SWAPS):
            stored = self._objects.writable(name)
            if etag and stored.etag != etag:
                break
            changed = change(stored.record(message_type).resource)
            if changed is None:
                return stored.record(message_type)
            if name_of(changed) != name:
                raise ValueError(f"an update must not rename {name}")
            envelope = replace(
                stored.envelope.next(stored.envelope.state), resource=to_json(changed)
            )
            with contextlib.suppress(ObjectChangedError):
                return self._objects.swap(stored, envelope).record(message_type)
            time.sleep(random.uniform(0, min(_MAX_PAUSE_SECONDS, 0.001 * 2**attempt)))
        raise ConflictError(f"{name} was changed by another caller; read it and try again.")

    def delete(
        self,
        name: str,
        message_type: type[M],
        *,
        check: Callable[[M], None] | None = None,
        purge: Sequence[str] = (),
    ) -> None:
        """Deletes a resource that nothing refers to, lets go of its references, and its data.

        A repeat after a crash or an `UnavailableError` completes what was left.

        Args:
            name: Resource name.
            message_type: Type of the resource.
            check: Called with the resource, first as it is and again once others see that it is
                being deleted; the `AimassError` that it raises stops the deletion.
            purge: Prefixes of the keys that belong to the resource, each ending with `/`; deleted
                once nobody can find the resource any more.

        Raises:
            NotFoundError: If there is none.
            FailedPreconditionError: If other resources refer to it; it names them.
            UnavailableError: If the purge takes longer than 30 s; repeat the call.
        """
        self._deletion.delete(name, message_type, check, purge)

    def add_reference(self, referrer: str, target: str) -> None:
        """Keeps `target` from being deleted while the resource `referrer` exists.

        The referrer must be created within 10 minutes, if it does not exist yet.

        Raises:
            NotFoundError: If the target does not exist.
            FailedPreconditionError: If it is being deleted.
        """
        self._references.add(referrer, target)

    def remove_reference(self, referrer: str, target: str) -> None:
        """Lets go of `target`."""
        self._references.remove(referrer, target)

    def referrers(self, target: str) -> tuple[str, ...]:
        """Returns the names of the resources that refer to `target`."""
        return tuple(self._references.referrers(target))

    def list(
        self,
        collection: str,
        message_type: type[M],
        *,
        filter: str = "",
        order_by: str = "",
        page_size: int = 0,
        page_token: str = "",
        complete: Callable[[M], M] | None = None,
        summary: Callable[[M], M] | None = None,
        max_age: float = 0.0,
    ) -> Page[M]:
        """Returns a page of a collection as it is in the store now, newest first.

        Args:
            collection: For example `trainingRuns` or `datasets/digits/versions`.
            message_type: Type of the resources.
            filter: See `filters.compile_filter`.
            order_by: See `ordering.compile_order`.
            page_size: 1 to 1000; 0 for 50.
            page_token: `next_page_token` of the previous page with the same filter and order.
            complete: Adds what is not stored, before the filter sees it; gets a copy.
            summary: Shortens a resource for the list; gets a copy.
            max_age: What other processes did within so many seconds may be missing: a list that
                was read since spares another. What this store did is there.

        Raises:
            InvalidFieldError: Naming `filter`, `order_by`, `page_size` or `page_token`.
        """
        query = Query(collection, message_type, filter, order_by, max_age)
        return self._lists.page(query, page_size, page_token, complete, summary)

    def find(
        self,
        collection: str,
        message_type: type[M],
        filter: str = "",
        *,
        max_age: float = 0.0,
    ) -> Sequence[Record[M]]:
        """Returns all records of a collection that match, newest first.

        Args:
            collection: See `list`.
            message_type: Type of the resources.
            filter: See `filters.compile_filter`.
            max_age: See `list`. What `get` returned is there too.

        Raises:
            InvalidFieldError: Naming `filter`.
        """
        return self._lists.all(Query(collection, message_type, filter, max_age=max_age))

    def warm(self, collection: str, message_type: type[M]) -> None:
        """Reads a collection, so that the first list of it need not wait for that."""
        self._lists.warm(collection, message_type)

    def _note(self, stored: Stored) -> None:
        self._lists.note(stored)
