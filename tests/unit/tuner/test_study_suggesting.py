"""What studies suggest, by each sampler."""

import numpy as np
import pytest

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer
from services.tuner.domain.space.space import Space
from services.tuner.domain.study.learning import told_of
from services.tuner.domain.study.objective import Direction, Objective
from services.tuner.domain.study.records import TrialRecord, TrialState
from services.tuner.domain.study.samplers import Sampler, sampler_flaws
from services.tuner.domain.study.suggesting import suggest, warmed

PLANE = Space((Float("x", -5, 5, 4.0), Float("y", -5, 5, 4.0)))
MIXED = Space(
    (
        Choice("kind", ("one", "two"), "one"),
        Float("x", 1e-3, 1.0, 0.5, is_log=True, when=Condition("kind", ("one",))),
        Integer("y", 0, 20, 20, step=2, when=Condition("kind", ("two",))),
        Float("z", 0, 1, 0.5, step=0.1),
    )
)
LOSS = (Objective("loss"),)
GAIN = (Objective("gain", Direction.MAXIMIZE),)


def _bowl(configuration: Configuration) -> float:
    return (float(configuration["x"]) - 1) ** 2 + (float(configuration["y"]) + 2) ** 2


def _searched(sampler: Sampler, trials: int, sign: float = 1.0) -> list[TrialRecord]:
    records = list[TrialRecord]()
    objectives = LOSS if sign > 0 else GAIN
    for place in range(trials):
        (found,) = suggest(PLANE, objectives, records, (), sampler, place)
        records.append(TrialRecord(place, found, values=(sign * _bowl(found),)))
    return records


@pytest.mark.parametrize("sampler", Sampler)
def test_the_default_comes_first_and_the_same_asks_give_the_same(sampler: Sampler) -> None:
    one, other = (suggest(PLANE, LOSS, (), (), sampler, 3, 4) for _ in range(2))
    assert one == other
    assert one[0] == PLANE.default


@pytest.mark.parametrize(
    ("sampler", "trials", "bound"),
    [(Sampler.FOREST, 40, 0.1), (Sampler.TPE, 60, 1.5), (Sampler.CMA_ES, 120, 0.1)],
)
def test_samplers_find_the_best(sampler: Sampler, trials: int, bound: float) -> None:
    assert min(each.values[0] for each in _searched(sampler, trials)) < bound


@pytest.mark.parametrize("sampler", [Sampler.FOREST, Sampler.CMA_ES])
def test_larger_values_are_looked_for_where_they_are_better(sampler: Sampler) -> None:
    best = max(each.values[0] for each in _searched(sampler, 60, -1.0))
    assert best > -1.0


@pytest.mark.parametrize("sampler", [Sampler.FOREST, Sampler.TPE, Sampler.RANDOM])
def test_trials_of_every_state_are_understood(sampler: Sampler) -> None:
    states = list(TrialState)
    records = [
        TrialRecord(
            place,
            each,
            state=states[place % len(states)],
            values=(float(place),) if states[place % len(states)] is TrialState.COMPLETED else (),
            intermediate={0: float(place)},
            violations=(float(place % 3) - 1,),
        )
        for place, each in enumerate(suggest(MIXED, LOSS, (), (), Sampler.RANDOM, 0, 24))
    ]
    found = suggest(MIXED, LOSS, records, (), sampler, 0, 3)
    assert all(MIXED.problems(each) == [] for each in found)
    keys = {MIXED.key(each) for each in (*found, *(each.parameters for each in records))}
    assert len(keys) == 27


@pytest.mark.parametrize("sampler", Sampler)
def test_fifty_at_once_differ_from_all_that_is_pending(sampler: Sampler) -> None:
    records = _searched(Sampler.RANDOM, 20)
    pending = suggest(PLANE, LOSS, records, (), sampler, 1, 10)
    found = suggest(PLANE, LOSS, records, pending, sampler, 1, 40)
    known = (*found, *pending, *(each.parameters for each in records))
    assert len({PLANE.key(each) for each in known}) == 70


@pytest.mark.parametrize("sampler", [Sampler.FOREST, Sampler.TPE, Sampler.RANDOM])
def test_a_small_space_is_given_out_whole_before_anything_comes_twice(sampler: Sampler) -> None:
    space = Space((Choice("a", ("x", "y"), "x"), Integer("b", 1, 3, 1)))
    found = suggest(space, LOSS, (), (), sampler, 0, 7)
    assert len({space.key(each) for each in found}) == 6
    assert space.problems(found[-1]) == []


@pytest.mark.parametrize("sampler", [Sampler.FOREST, Sampler.TPE])
def test_several_objectives_spread_over_the_front(sampler: Sampler) -> None:
    objectives = (Objective("left"), Objective("right", Direction.MAXIMIZE))
    records = list[TrialRecord]()
    for place in range(60):
        (found,) = suggest(PLANE, objectives, records, (), sampler, place)
        x, y = float(found["x"]), float(found["y"])
        values = ((x - 2) ** 2 + y**2, -((x + 2) ** 2) - y**2)
        records.append(TrialRecord(place, found, values=values))
    near = [float(each.parameters["x"]) for each in records if abs(float(each.parameters["y"])) < 2]
    assert min(near) < 0 < 1 < max(near)


def test_given_trials_are_learned_from_at_once() -> None:
    generator = np.random.default_rng(0)
    given = [
        TrialRecord(place, each, values=(_bowl(each),))
        for place, each in enumerate(PLANE.sample(generator) for _ in range(60))
    ]
    found = suggest(PLANE, LOSS, given, (), Sampler.FOREST, 1, 3)
    assert min(_bowl(each) for each in found) < 1


def test_what_failed_is_avoided() -> None:
    """Half of the space crashes, and the slope of the other half leads there."""
    records = list[TrialRecord]()
    for place in range(60):
        (found,) = suggest(PLANE, LOSS, records, (), Sampler.FOREST, place)
        x, has_failed = float(found["x"]), float(found["x"]) > 0
        state = TrialState.FAILED if has_failed else TrialState.COMPLETED
        records.append(TrialRecord(place, found, state, () if has_failed else (-x,)))
    late = [each for each in records[30:] if each.state is TrialState.FAILED]
    assert len(late) < 20
    assert max(float(each.parameters["x"]) for each in records if each.counts) > -0.5


def test_pruned_trials_are_worth_no_less_than_the_median() -> None:
    completed = [TrialRecord(place, {}, values=(float(place),)) for place in range(5)]
    pruned = [
        TrialRecord(5, {}, TrialState.PRUNED, intermediate={0: 9.0, 3: 1.0}),
        TrialRecord(6, {}, TrialState.PRUNED, intermediate={0: 7.0}),
        TrialRecord(7, {}, TrialState.PRUNED),
        TrialRecord(8, {}, values=(0.0,), violations=(1.0,)),
    ]
    found = [each.losses[0] for each in told_of([*completed, *pruned], LOSS)]
    assert found[5:] == [2.0, 7.0, np.inf, np.inf]


def test_evolution_says_what_it_does_not_suit() -> None:
    found = sampler_flaws(Sampler.CMA_ES, MIXED, (*LOSS, *GAIN))
    assert len(found) == 4
    assert all("take " in each for each in found)
    assert sampler_flaws(Sampler.CMA_ES, PLANE, LOSS) == []
    assert sampler_flaws(Sampler.TPE, MIXED, (*LOSS, *GAIN)) == []


def test_warming_may_be_done_at_any_time() -> None:
    warmed()
    warmed()
