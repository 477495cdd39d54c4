"""The crash harness itself: a harness that misses a case proves nothing."""

import pytest

from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.errors import UnavailableError
from common.testing.crash import CrashingStore, Moment, SimulatedCrash, crashes, once


def protocol(store: ObjectStore) -> None:
    """Two writes, the second of which cleans up after an error."""
    store.write("a", b"1")
    try:
        store.write("b", b"2")
    except Exception:
        store.delete("a")
        raise


def test_every_operation_meets_every_moment() -> None:
    """Protects completeness, and the state that each crash leaves."""
    left = {
        (crash.number, crash.moment): [info.key for info in crash.store.list("")]
        for crash in crashes(lambda store: None, protocol)
    }
    assert left == {
        (1, Moment.BEFORE): [],
        (2, Moment.BEFORE): ["a"],
        (1, Moment.AFTER): ["a"],
        (2, Moment.AFTER): ["a", "b"],
        (1, Moment.AMBIGUOUS): ["a"],
        (2, Moment.AMBIGUOUS): ["b"],
        (1, Moment.LOST): [],
        (2, Moment.LOST): [],
    }


def test_errors_are_what_the_caller_got() -> None:
    """Protects tests that ask what the caller was told."""
    for crash in crashes(lambda store: None, protocol):
        dead = crash.moment in (Moment.BEFORE, Moment.AFTER)
        assert isinstance(crash.error, SimulatedCrash if dead else UnavailableError)
        assert crash.operation in ("write a", "write b")


def test_the_dead_do_nothing_more() -> None:
    """Protects against a crashed process that still cleans up."""
    store = CrashingStore(MemoryStore(), once(1, Moment.AFTER))
    for _ in range(2):
        with pytest.raises(SimulatedCrash):
            store.write("a", b"x")
    with pytest.raises(SimulatedCrash):
        next(store.list(""))


def test_a_failed_assertion_is_not_taken_for_a_crash() -> None:
    """Protects against a protocol that checks itself, fails, and is counted as crashed."""

    def failing(store: ObjectStore) -> None:
        assert not list(store.list("")), "the check"

    with pytest.raises(AssertionError, match="the check"):
        list(crashes(lambda store: store.write("a", b""), failing))
