"""Snapshots of an index: what was read of a collection, in one object.

A snapshot only saves reads. Each entry carries the etag of its record, and whoever loads it takes
an entry only where LIST still shows that etag; the records stay the one truth. Etags are never
given twice, for every write of a record differs.

It is a line of JSON for each record, behind one that names the contract: a single document of
thousands would hold the interpreter, and thereby whoever answers calls, until it is done.
"""

import base64
import hashlib
import json
import logging
import zlib
from collections.abc import Iterable, Iterator
from typing import Generic

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError

from common.artifacts import ObjectMissingError, ObjectStore
from common.records.envelope import M, Record, RecordState, descriptor_of

_MAX_BYTES = 64 * 1024 * 1024
# Changes with the form of a snapshot, so that one of another form is not used.
_FORM = b"lines"

_logger = logging.getLogger(__name__)


class Snapshots(Generic[M]):
    """The snapshot of one collection."""

    def __init__(self, store: ObjectStore, collection: str, message_type: type[M]) -> None:
        """Keeps it in a store, under `indexes/`."""
        self._store = store
        self._type = message_type
        self._key = f"indexes/{collection}.json"
        # Messages are in binary form, which only readers of the same contract understand whole.
        self._contract = _digest(descriptor_of(message_type).file)

    def read(self) -> dict[str, Record[M]]:
        """Returns the records by name; none where there is no snapshot that can be read.

        What was deleted is there too, as an empty resource whose state is DELETED.
        """
        try:
            data, _ = self._store.read(self._key)
            head, *lines = zlib.decompress(data).splitlines()
            if json.loads(head)["contract"] != self._contract:
                return {}
            return {record.name: record for record in self._records(map(json.loads, lines))}
        except ObjectMissingError:
            return {}
        except (ValueError, KeyError, TypeError, zlib.error, DecodeError) as error:
            _logger.warning("%s is not used: %r", self._key, error)
            return {}

    def write(self, records: Iterable[Record[M]]) -> None:
        """Stores records; leaves it where they are too large for that to be quick."""
        lines = [json.dumps({"contract": self._contract}), *map(_line, records)]
        body = "\n".join(lines).encode()
        if len(body) <= _MAX_BYTES:
            self._store.write(self._key, zlib.compress(body, level=1))

    def _records(self, rows: Iterable[list[str]]) -> Iterator[Record[M]]:
        for name, etag, revision, state, references, message in rows:
            resource = self._type()
            resource.ParseFromString(base64.b64decode(message))
            yield Record(name, resource, int(revision), etag, RecordState(state), tuple(references))


def _line(record: Record[M]) -> str:
    return json.dumps(
        [
            record.name,
            record.etag,
            record.revision,
            record.state.value,
            record.references,
            base64.b64encode(record.resource.SerializeToString()).decode(),
        ]
    )


def _digest(file: FileDescriptor) -> str:
    """Returns what changes with the contract of a file and of those that it imports."""
    files: dict[str, bytes] = {}

    def add(each: FileDescriptor) -> None:
        if each.name not in files:
            files[each.name] = each.serialized_pb
            for imported in each.dependencies:
                add(imported)

    add(file)
    joined = _FORM + b"".join(files[name] for name in sorted(files))
    return hashlib.sha256(joined).hexdigest()
