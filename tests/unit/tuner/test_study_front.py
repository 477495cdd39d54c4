"""Objectives, records, and which trials are best."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tuner.domain.study.front import pareto_front
from services.tuner.domain.study.objective import Direction, Objective, objective_flaws
from services.tuner.domain.study.records import (
    TrialRecord,
    TrialState,
    best_of,
    record_problems,
)

ERROR, SPEED = Objective("error"), Objective("speed", Direction.MAXIMIZE)
BOTH = (ERROR, SPEED)


def _records(*values: tuple[float, ...]) -> list[TrialRecord]:
    return [TrialRecord(place, {}, values=each) for place, each in enumerate(values)]


def test_a_front_holds_what_nothing_dominates() -> None:
    records = _records((1.0, 1.0), (2.0, 5.0), (2.0, 4.0), (0.5, 0.1), (3.0, 5.0))
    assert [each.number for each in pareto_front(records, BOTH)] == [3, 0, 1]


def test_equal_trials_are_on_the_front_together() -> None:
    assert len(pareto_front(_records((1.0, 1.0), (1.0, 1.0)), BOTH)) == 2


def test_what_failed_or_breaks_constraints_is_never_best() -> None:
    records = [
        TrialRecord(0, {}, TrialState.FAILED),
        TrialRecord(1, {}, values=(1.0, 9.0), violations=(0.5, -1.0)),
        TrialRecord(2, {}, TrialState.PRUNED, intermediate={3: 0.1}),
        TrialRecord(3, {}, values=(2.0, 1.0), violations=(0.0, -1.0)),
    ]
    assert [each.number for each in pareto_front(records, BOTH)] == [3]
    best = best_of(records, BOTH)
    assert best is not None
    assert best.number == 3
    assert best_of(records[:3], BOTH) is None


@given(
    st.lists(
        st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf])] * 3), min_size=1, max_size=20
    )
)
def test_the_front_is_what_the_definition_says(values: list[tuple[float, ...]]) -> None:
    objectives = (ERROR, SPEED, Objective("size"))
    losses = [(a, -b, c) for a, b, c in values]
    expected = {
        place
        for place, own in enumerate(losses)
        if not any(
            other != own and all(x <= y for x, y in zip(other, own, strict=True))
            for other in losses
        )
    }
    found = pareto_front(_records(*values), objectives)
    assert {each.number for each in found} == expected
    assert [each.values[0] for each in found] == sorted(each.values[0] for each in found)


@pytest.mark.parametrize(
    ("objectives", "said"),
    [
        ((), "has no objective"),
        ((ERROR, ERROR), "error is there twice"),
        ((Objective(""),), "has no name"),
        (tuple(Objective(str(place)) for place in range(11)), "at most 10"),
    ],
)
def test_flaws_of_objectives_name_the_cure(objectives: tuple[Objective, ...], said: str) -> None:
    assert any(said in each for each in objective_flaws(objectives))
    assert objective_flaws(BOTH) == []


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (TrialRecord(0, {}, values=(1.0,)), "give one for each objective (error, speed)"),
        (TrialRecord(0, {}, values=(1.0, math.nan)), "speed is nan"),
        (TrialRecord(0, {}, TrialState.FAILED, values=(1.0, 1.0)), "that is failed"),
        (TrialRecord(0, {}, TrialState.FAILED, intermediate={-1: 0.0}), "Step -1 is below 0"),
        (TrialRecord(0, {}, TrialState.FAILED, violations=(math.nan,)), "violation is not"),
        (TrialRecord(0, {}, TrialState.FAILED, cost=-1.0), "cost is -1.0"),
    ],
)
def test_problems_of_records_name_the_cure(record: TrialRecord, said: str) -> None:
    assert any(said in each for each in record_problems(record, BOTH))
    assert record_problems(TrialRecord(0, {}, values=(1.0, 2.0)), BOTH) == []
