"""When things happened in a search."""

import math

import pytest

from services.tuner.domain.history import History, Step
from services.tuner.domain.trials.trial import TrialFailure

LATE = Step(1.0, 0, 0, math.inf, 1.0, TrialFailure.OUT_OF_TIME)


@pytest.mark.parametrize(
    ("steps", "seconds"), [([LATE, Step(2.0, 1, 0, 0.1, 0.5)], 2.0), ([LATE], 9.0), ([], 9.0)]
)
def test_a_first_model_is_never_there_before_it_is_made(steps: list[Step], seconds: float) -> None:
    """Where no trial has a score, what is published is made at the end."""
    now = [0.0]
    history = History(lambda: now[0], steps)
    now[0] = 9.0
    history.end()
    assert history.first_model == seconds
