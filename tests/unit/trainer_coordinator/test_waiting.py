"""How long a run waits for workers, and what it says of that."""

import pytest

from aimass.trainer.v1 import trainer_pb2
from services.trainer.coordinator.crew import CrewSize
from services.trainer.coordinator.errors import NotEnoughWorkersError
from services.trainer.coordinator.waiting import Waiting

SIZE = CrewSize(min=2, wanted=3, max=4, wait_seconds=10.0)
QUEUED = trainer_pb2.QueuePlace(position=3, reason=trainer_pb2.WAIT_REASON_SLOTS)


def test_patience_is_for_what_is_wanted() -> None:
    """With what it wants a run begins at once, with its minimum after its patience."""
    waiting = Waiting(SIZE, patience=2.0, now=0.0)
    assert waiting.is_over(3, now=0.0)
    assert not waiting.is_over(2, now=1.9)
    assert waiting.is_over(2, now=2.0)
    assert not waiting.is_over(1, now=9.0)


def test_time_limit_names_what_there_was() -> None:
    """Too few agents for too long is an error, with the number that there were."""
    waiting = Waiting(SIZE, patience=0.0, now=0.0)
    waiting.check(1, None, now=9.9)
    with pytest.raises(NotEnoughWorkersError, match="there were 1"):
        waiting.check(1, None, now=10.0)


def test_time_in_the_queue_does_not_count() -> None:
    """Only while the agents are too few does the limit run."""
    waiting = Waiting(SIZE, patience=0.0, now=0.0)
    waiting.check(0, QUEUED, now=100.0)
    few = trainer_pb2.QueuePlace(position=3, reason=trainer_pb2.WAIT_REASON_AGENTS)
    waiting.check(0, few, now=109.0)
    with pytest.raises(NotEnoughWorkersError):
        waiting.check(0, few, now=110.0)


def test_watchers_are_told_once_why() -> None:
    """Not of a moment's wait, and with the place in the queue where there is one."""
    waiting = Waiting(SIZE, patience=0.0, now=0.0)
    assert not waiting.announcement(0, QUEUED, now=0.1)
    text = waiting.announcement(0, QUEUED, now=1.0)
    assert text.startswith("waiting for workers: 0 of at least 2 are there")
    assert text.endswith("other runs have the slots; place 3 in the queue")
    assert not waiting.announcement(0, QUEUED, now=2.0)
