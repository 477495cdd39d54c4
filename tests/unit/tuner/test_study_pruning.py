"""Which trials may end early."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tuner.domain.study.objective import Direction, Objective
from services.tuner.domain.study.pruning import Pruner, Pruning, should_prune
from services.tuner.domain.study.records import TrialRecord, TrialState

ERROR, SCORE = Objective("error"), Objective("score", Direction.MAXIMIZE)
ASHA = Pruning(Pruner.ASHA, least=1, factor=2)
MEDIAN = Pruning(Pruner.MEDIAN, startup=3)


def _trial(number: int, *told: float, state: TrialState = TrialState.RUNNING) -> TrialRecord:
    return TrialRecord(number, {}, state, intermediate=dict(enumerate(told)))


def _asked(
    others: list[TrialRecord], trial: TrialRecord, pruning: Pruning, objective: Objective = ERROR
) -> bool:
    return should_prune([*others, trial], trial, max(trial.intermediate), pruning, objective)


def test_asha_lets_the_best_share_of_each_rung_go_on() -> None:
    others = [_trial(place, float(place)) for place in range(9)]
    assert not _asked(others, _trial(9, 3.5), ASHA)
    assert _asked(others, _trial(9, 5.5), ASHA)


def test_asha_looks_at_the_way_values_are_better() -> None:
    others = [_trial(place, float(place)) for place in range(9)]
    assert _asked(others, _trial(9, 3.5), ASHA, SCORE)
    assert not _asked(others, _trial(9, 5.5), ASHA, SCORE)


def test_asha_asks_between_rungs_nothing() -> None:
    """Rungs are 1, 2, 4, 8 steps: a trial that is bad at step 3 of them is asked at 4."""
    others = [_trial(place, *[0.0] * 8) for place in range(4)]
    assert not _asked(others, _trial(9, 0.0, 0.0, 5.0), ASHA)
    assert _asked(others, _trial(9, 0.0, 0.0, 5.0, 5.0), ASHA)
    assert not _asked(others, _trial(9, 0.0, 0.0, 0.0, 0.0, 5.0), ASHA)


def test_asha_finds_rungs_where_steps_are_skipped() -> None:
    others = [TrialRecord(place, {}, intermediate={4: 0.0, 9: 0.0}) for place in range(4)]
    trial = TrialRecord(9, {}, TrialState.RUNNING, intermediate={4: 1.0})
    assert should_prune(others, trial, 4, ASHA, ERROR)


def test_the_first_on_a_rung_goes_on() -> None:
    assert not _asked([], _trial(0, 5.0), ASHA)
    assert not _asked([_trial(1)], _trial(0, 5.0), ASHA)


def test_median_waits_for_trials_that_completed() -> None:
    done = [_trial(place, 0.1, 0.1, state=TrialState.COMPLETED) for place in range(3)]
    assert not _asked(done[:2], _trial(9, 1.0), MEDIAN)
    assert _asked(done, _trial(9, 1.0), MEDIAN)
    assert not _asked(done, _trial(9, 0.05, 1.0), MEDIAN)
    assert not _asked(done, _trial(9, 1.0), Pruning(Pruner.MEDIAN, least=2, startup=3))


def test_median_ignores_trials_that_told_less() -> None:
    done = [_trial(place, 0.1, state=TrialState.COMPLETED) for place in range(5)]
    assert not _asked(done, _trial(9, 1.0, 1.0), MEDIAN)


@pytest.mark.parametrize("pruner", Pruner)
def test_what_is_not_a_number_ends_unless_nothing_is_pruned(pruner: Pruner) -> None:
    assert _asked([], _trial(0, math.nan), Pruning(pruner)) is (pruner is not Pruner.NONE)


def test_a_step_that_was_not_told_says_nothing() -> None:
    assert not should_prune([], _trial(0, 1.0), 5, ASHA, ERROR)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=30, unique=True), st.integers(2, 5))
def test_asha_never_prunes_the_best_nor_keeps_the_worst(values: list[float], factor: int) -> None:
    trials = [_trial(place, value) for place, value in enumerate(values)]
    pruning = Pruning(Pruner.ASHA, factor=factor)
    pruned = [should_prune(trials, each, 0, pruning, ERROR) for each in trials]
    assert not pruned[values.index(min(values))]
    assert pruned[values.index(max(values))]
    assert len(values) - sum(pruned) == max(len(values) // factor, 1)


@pytest.mark.parametrize(
    ("pruning", "said"),
    [
        (Pruning(Pruner.ASHA, least=0), "least step is 0"),
        (Pruning(Pruner.ASHA, factor=1), "reduction factor is 1"),
        (Pruning(Pruner.MEDIAN, startup=-1), "-1 trials to start with"),
    ],
)
def test_flaws_of_pruning_name_the_cure(pruning: Pruning, said: str) -> None:
    assert any(said in each for each in pruning.flaws((ERROR,)))


def test_several_objectives_are_not_pruned() -> None:
    assert "give the pruner none" in ASHA.flaws((ERROR, SCORE))[0]
    assert Pruning().flaws((ERROR, SCORE)) == []
