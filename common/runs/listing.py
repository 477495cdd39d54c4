"""What runs found, kept as the message of a list so that services page through it."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

from google.protobuf.message import Message

from aimass.type.v1 import artifact_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import read_artifact
from common.paging import MAX_PAGE_BYTES, check_page_size, decode_token, encode_token

R = TypeVar("R", bound=Message)
_KEPT = 4


class ListedPages(Generic[R]):
    """Reads pages of lists. Safe to use from several threads."""

    def __init__(self, store: ObjectStore, response: type[R], field: str) -> None:
        """Reads from the suite's store; the last few lists stay in memory.

        Args:
            store: The store.
            response: Message of a page, and of the whole list.
            field: Its repeated field.
        """
        self._store = store
        self._response = response
        self._field = field
        self._kept: OrderedDict[str, R] = OrderedDict()

    def all(self, artifact: artifact_pb2.ArtifactRef) -> R:
        """Returns a whole list.

        Args:
            artifact: Where it is kept.

        Raises:
            DataLossError: It is gone or damaged.
        """
        found = self._kept.get(artifact.sha256)
        if found is None:
            found = self._response.FromString(b"".join(read_artifact(self._store, artifact)))
            self._kept[artifact.sha256] = found
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found

    def page(
        self, run: str, artifact: artifact_pb2.ArtifactRef, page_size: int, page_token: str
    ) -> R:
        """Returns a page.

        Args:
            run: Name of the run.
            artifact: Where its list is kept.
            page_size: At most so many; 0 for the default.
            page_token: Of the page before; empty for the first.

        Raises:
            InvalidFieldError: Names `page_size` or `page_token`.
            DataLossError: The list is gone or damaged.
        """
        size = check_page_size(page_size)
        query = (run, artifact.sha256)
        start = int(decode_token(query, page_token)[0]) if page_token else 0
        found = getattr(self.all(artifact), self._field)
        end = _end_of_page(found, start, size)
        token = encode_token(query, [end]) if end < len(found) else ""
        return self._response(**{self._field: found[start:end], "next_page_token": token})


def _end_of_page(messages: Sequence[Message], start: int, size: int) -> int:
    """Returns where a page ends: a message must not be too large."""
    room = MAX_PAGE_BYTES
    for place, message in enumerate(messages[start : start + size], start):
        room -= message.ByteSize()
        if room < 0 and place > start:
            return place
    return start + size
