"""Removal of many objects."""

import pytest

from common.artifacts.memory import MemoryStore
from common.artifacts.purge import purge_prefix


def test_purge_removes_a_folder_and_nothing_else() -> None:
    """Protects the neighbours of what is deleted."""
    store = MemoryStore()
    for key in (*(f"a/{number}" for number in range(600)), "a/b/c", "ab", "b"):
        store.write(key, b"")
    assert purge_prefix(store, "a/")
    assert [info.key for info in store.list("")] == ["ab", "b"]


def test_purge_stops_at_its_deadline() -> None:
    """Protects keys that are written anew from a cleaner that was suspended."""
    store = MemoryStore()
    store.write("a/b", b"")
    assert not purge_prefix(store, "a/", deadline=0.0)
    assert store.read("a/b")


@pytest.mark.parametrize("prefix", ["", "/", "a", "../", "a//"])
def test_only_folders_are_purged(prefix: str) -> None:
    """Protects the store from an empty or clipped prefix."""
    with pytest.raises(ValueError, match=r"prefix|key"):
        purge_prefix(MemoryStore(), prefix)
