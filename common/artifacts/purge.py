"""Removal of many objects."""

import time
from concurrent.futures import ThreadPoolExecutor
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
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="purge") as pool:
        while batch := list(islice(keys, _BATCH)):
            if time.monotonic() > deadline:
                return False
            list(pool.map(store.delete, batch))
    return True


def _check_folder(prefix: str) -> str:
    if not prefix.endswith("/"):
        raise ValueError(f"prefix {prefix!r} does not end with a slash")
    check_key(prefix[:-1])
    return prefix
