"""How the time of a search is given out."""

import numpy as np
import pytest

from services.tuner.budget import Budget
from services.tuner.domain.search.library import Library
from services.tuner.domain.trials.trial import Candidate, Split, TrialResult, TrialTask
from services.tuner.reporting import publishing_seconds


@pytest.mark.parametrize(("seconds", "kept"), [(5, 1), (30, 2), (100, 5), (3_600, 20)])
def test_time_is_kept_for_the_end(seconds: float, kept: float) -> None:
    """More where there is more to publish, never much of a small budget."""
    budget = Budget(seconds, 1_000.0, clock=lambda: 1_000.0)
    assert budget.for_search() == pytest.approx(seconds - kept)


def test_many_columns_take_time_to_be_published() -> None:
    """A signature of thousands of columns must not make a run late."""
    budget = Budget(60.0, 1_000.0, clock=lambda: 1_000.0)
    assert budget.for_search(10_000) == pytest.approx(40.0)
    assert Budget(10.0, 1_000.0, clock=lambda: 1_000.0).for_search(10_000) == pytest.approx(6.5)


def test_an_attempt_that_takes_over_has_what_is_left() -> None:
    """The budget is the run's, not the attempt's."""
    budget = Budget(100.0, 1_000.0, is_first=False, clock=lambda: 1_060.0)
    assert budget.for_search() == pytest.approx(35.0)
    assert budget.share == pytest.approx(0.6)


def test_an_attempt_that_comes_too_late_still_finds_something() -> None:
    """A model some seconds later is better than none."""
    late = Budget(100.0, 1_000.0, is_first=False, clock=lambda: 2_000.0)
    assert (late.left, late.share, late.for_search()) == (0.0, 1.0, 10.0)


@pytest.mark.parametrize(("megabytes", "seconds"), [(1, 0.0), (100, 12.0)])
def test_large_models_take_time_to_be_published(megabytes: float, seconds: float) -> None:
    """The search stops early enough for them; small ones take none of its time."""
    library = Library(
        [Split(np.arange(5, 10), np.arange(5)), Split(np.arange(5), np.arange(5, 10))]
    )
    candidate = Candidate(0, "random_forest", {})
    library.register(candidate, "test")
    for fold in range(2):
        task = TrialTask(candidate, fold, 1.0, 1.0)
        size = int(megabytes * 1e6)
        library.add(TrialResult(task, 0.1, np.zeros((5, 2)), {}, 1.0, 0.1, 0, size, "kept"))
    assert publishing_seconds(library) == pytest.approx(seconds)


@pytest.mark.parametrize(("spent", "left"), [(1, 12), (4, 7), (9, 0.75)])
def test_a_slow_machine_is_given_more_time_to_publish(spent: float, left: float) -> None:
    """As long as loading took, so that the end of a busy machine's run is not late, too."""
    budget = Budget(15.0, 1_000.0, clock=lambda: 1_000.0 + spent)
    assert budget.for_search() == pytest.approx(left)
