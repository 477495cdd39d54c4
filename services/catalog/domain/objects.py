"""Objects of the store that an import reads instead of an upload."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.artifacts import ObjectInfo, ObjectMissingError, ObjectStore
from common.artifacts.protocol import check_key
from common.errors import AimassError, FieldViolation, InvalidFieldError, NotFoundError
from common.wording import quoted
from services.catalog.domain import fields
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.spec import ImportSpec, resolve_format

# What the suite keeps elsewhere in its own bucket is nobody's data.
OPEN_PREFIXES = ("imports/", "runs/")
MAX_OBJECTS = 500
_SCHEME = "s3://"

OpenBucket = Callable[[str], ObjectStore]


@dataclass(frozen=True)
class FoundObjects:
    """Objects to import.

    Attributes:
        store: Where they are.
        objects: In the order of their keys.
    """

    store: ObjectStore
    objects: tuple[ObjectInfo, ...]

    @property
    def total_bytes(self) -> int:
        """Size of all of them."""
        return sum(info.size for info in self.objects)


class ImportObjects:
    """Finds what a URI names: in the suite's own bucket, or in one that the operator opened."""

    def __init__(self, store: ObjectStore, buckets: Sequence[str], open_bucket: OpenBucket) -> None:
        """Works on the suite's bucket and others.

        Args:
            store: The suite's own.
            buckets: Names of the others that may be read.
            open_bucket: Opens one of them by name.
        """
        self._store = store
        self._buckets = buckets
        self._open_bucket = open_bucket

    def find(self, uri: str) -> FoundObjects:
        """Returns the object of a URI, or all under it where it ends with `/`.

        Raises:
            InvalidFieldError: It is no such URI, may not be read, or names too many objects.
            NotFoundError: There is no such object.
        """
        bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
        if not uri.startswith(_SCHEME) or not bucket:
            raise _bad_uri(
                f"must be `s3://bucket/key`, or a prefix that ends with `/`, not {quoted(uri)}"
            )
        if bucket == self._store.bucket and not key.startswith(OPEN_PREFIXES):
            allowed = " or ".join(f"`{prefix}`" for prefix in OPEN_PREFIXES)
            raise _bad_uri(
                f"must lie under {allowed} of the suite's own bucket, unlike {quoted(key)}"
            )
        if bucket != self._store.bucket and bucket not in self._buckets:
            raise _bad_uri(
                f"bucket {quoted(bucket)} is not open to imports; ask the operator to list it in "
                "AIMASS_IMPORT_BUCKETS"
            )
        own = bucket == self._store.bucket
        store = self._store if own else self._open_bucket(bucket)
        try:
            objects = _under(store, key) if key.endswith("/") or not key else _single(store, key)
        except ObjectMissingError:
            objects = ()
        if not objects:
            problem = f"there is no object at {uri}"
            raise NotFoundError(
                f"{fields.URI}: {problem}.", violations=[FieldViolation(fields.URI, problem)]
            )
        return FoundObjects(store, objects)


def shared_format(spec: ImportSpec, found: FoundObjects) -> DataFormat | None:
    """Returns the format of all objects; None for archives. See `resolve_format`.

    Raises:
        InvalidFieldError: A name does not tell, or two names tell different formats.
    """
    first = found.objects[0].key
    expected = resolve_format(spec, first)
    for info in found.objects[1:]:
        if resolve_format(spec, info.key) is not expected:
            raise InvalidFieldError(
                fields.URI,
                f"`{info.key}` has another format than `{first}`; put files of one format under a "
                "prefix",
                reason="MIXED_FORMATS",
            )
    return expected


def _single(store: ObjectStore, key: str) -> tuple[ObjectInfo, ...]:
    try:
        check_key(key)
    except ValueError as error:
        raise _bad_uri(str(error)) from None
    return (store.stat(key),)


def _under(store: ObjectStore, prefix: str) -> tuple[ObjectInfo, ...]:
    found: list[ObjectInfo] = []
    for info in store.list(prefix):
        name = info.key.rpartition("/")[2]
        if not info.size or name.startswith((".", "_")):
            continue  # marks of folders, and what writers of tables leave behind
        found.append(info)
        if len(found) > MAX_OBJECTS:
            raise _bad_uri(
                f"there are more than {MAX_OBJECTS} objects; join some, or import them in parts"
            )
    return tuple(found)


def _bad_uri(description: str) -> AimassError:
    return InvalidFieldError(fields.URI, description, reason="INVALID_URI")
