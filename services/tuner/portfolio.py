"""What the suite's own searches have found, kept in the store: an object for each search."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from common.artifacts import ObjectStore
from common.artifacts.protocol import ObjectInfo, ObjectMissingError
from services.tuner.domain.portfolio.known_set import KnownSet

_log = logging.getLogger(__name__)

MOST_SETS = 500
"""Only so many of the newest are kept."""
_PREFIX = "portfolio/"
_MOST_BYTES = 256 << 10
_READERS, _BATCH = 8, 64


class OwnPortfolio:
    """Reads and writes what own searches have found. Safe to use from several threads."""

    def __init__(self, store: ObjectStore) -> None:
        """Works on the suite's store."""
        self._store = store

    def listed(self) -> list[ObjectInfo]:
        """Returns what there is, the newest first; nothing is read yet."""
        found = sorted(self._store.list(_PREFIX), key=lambda each: (each.modified, each.key))
        return found[::-1][:MOST_SETS]

    def read(self, infos: Sequence[ObjectInfo]) -> list[KnownSet | None]:
        """Returns the sets of some objects in order, None for those that cannot be read."""
        with ThreadPoolExecutor(_READERS) as readers:
            return list(readers.map(self._one, infos))

    def sets(self, seconds: float) -> list[KnownSet]:
        """Returns what is known, the newest first: as much as can be read in the time."""
        end, infos, found = time.monotonic() + seconds, self.listed(), list[KnownSet]()
        for start in range(0, len(infos), _BATCH):
            read = self.read(infos[start : start + _BATCH])
            found += [each for each in read if each is not None]
            if time.monotonic() >= end:
                break
        return found

    def add(self, known: KnownSet) -> None:
        """Keeps what a search, its source, has found; makes room for it."""
        self._store.write(_key(known.source), known.model_dump_json().encode())
        keys = {each.key for each in self.listed()}
        for info in list(self._store.list(_PREFIX)):
            if info.key not in keys:
                self._store.delete(info.key)

    def forget(self, run: str) -> None:
        """Removes what a search has found."""
        self._store.delete(_key(run))

    def _one(self, info: ObjectInfo) -> KnownSet | None:
        if info.size > _MOST_BYTES:
            return None
        try:
            known = KnownSet.model_validate_json(self._store.read(info.key)[0])
        except ObjectMissingError:  # its search was deleted meanwhile
            return None
        except ValidationError:
            _log.warning("%s is none of a search's; it is passed over", info.key)
            return None
        return known if _key(known.source) == info.key else None


def _key(run: str) -> str:
    return f"{_PREFIX}{run.rpartition('/')[2]}.json"
