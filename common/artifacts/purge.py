"""Removal of many objects."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice

from common.artifacts.protocol import ObjectStore, check_key

_THREADS = 4
_BATCH = 256


def purge_prefix(store: ObjectStore, prefix: str, deadline: float = float("inf")) -> bool:
    """Deletes all objects under a prefix.

    Args:
        store: The store.
        prefix: A folder: it must end with `/`.
        deadline: Value of `time.monotonic()` after which no deletion is begun.

    Returns:
        Whether nothing was left when it looked last.
    """
    keys = (info.key for info in store.list(_check_folder(prefix)))
    return _delete(store, keys, deadline)


def sweep_prefix(store: ObjectStore, prefix: str, older_than: timedelta) -> bool:
    """Deletes the objects under a folder that were written longer ago, by the store's clock.

    Only for keys that are never written again: an object that is replaced while the sweep goes on
    may be lost.

    Returns:
        Always True: all that were found are deleted.
    """
    infos = store.list(_check_folder(prefix))
    keys = (info.key for info in infos if info.now - info.modified > older_than)
    return _delete(store, keys, float("inf"))


def _check_folder(prefix: str) -> str:
    if not prefix.endswith("/"):
        raise ValueError(f"prefix {prefix!r} does not end with a slash")
    check_key(prefix[:-1])
    return prefix


def _delete(store: ObjectStore, keys: Iterator[str], deadline: float) -> bool:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="purge") as pool:
        while batch := list(islice(keys, _BATCH)):
            if time.monotonic() > deadline:
                return False
            list(pool.map(store.delete, batch))
    return True
