"""The forest, what it promises, and what is proposed."""

import math
import time

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.constraint import Linear
from services.tuner.domain.space.encoding import ABSENT
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer
from services.tuner.domain.space.space import Space
from services.tuner.domain.surrogate.acquisition import log_expected_improvement
from services.tuner.domain.surrogate.forest import ForestSettings, grown
from services.tuner.domain.surrogate.history import View, learnable_costs, learnable_losses
from services.tuner.domain.surrogate.proposer import Told, propose
from services.tuner.domain.surrogate.trend import trend_of

PLANE = Space((Float("x", -5, 5, 4.0), Float("y", -5, 5, 4.0)))
MIXED = Space(
    (
        Choice("kind", ("one", "two", "three"), "one"),
        Float("rate", 1e-4, 1.0, 0.5, is_log=True, when=Condition("kind", ("one", "two"))),
        Integer("count", 0, 20, 20, when=Condition("kind", ("three",))),
        Float("other", 0, 1, 0.0),
    )
)
NUMBERS = np.zeros(3, np.int64)


def _generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _bowl(configuration: Configuration) -> float:
    return (float(configuration["x"]) - 1) ** 2 + (float(configuration["y"]) + 2) ** 2


def _searched(space: Space, trials: int, seed: int = 0) -> list[Told]:
    generator, told = _generator(seed), list[Told]()
    for _ in range(trials):
        (found,) = propose(space, told, [], generator)
        told.append(Told(found, _bowl(found)))
    return told


def _surface(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.sin(5 * rows[:, 0]) + rows[:, 1] ** 2
    return found


def test_a_forest_learns_a_surface() -> None:
    generator = _generator()
    rows, others = generator.random((300, 3)), generator.random((100, 3))
    mean, _ = grown(rows, _surface(rows), NUMBERS, generator).predicted(others)
    error = np.abs(mean - _surface(others)).mean()
    assert error < 0.3 * np.abs(_surface(others) - _surface(rows).mean()).mean()


def test_a_forest_is_less_sure_where_it_knows_little() -> None:
    generator = _generator()
    rows = generator.random((200, 3))
    rows[:, 0] = np.where(rows[:, 0] < 0.5, rows[:, 0] * 0.4, 0.8 + rows[:, 0] * 0.2)
    forest = grown(rows, _surface(rows), NUMBERS, generator)
    _, known = forest.predicted(rows)
    gap = rows.copy()
    gap[:, 0] = 0.5
    _, unknown = forest.predicted(gap)
    assert unknown.mean() > 2 * known.mean()


def test_variance_holds_what_leaves_keep() -> None:
    """By the law of total variance: trees that agree on a noisy mean are not sure of a value."""
    rows = np.zeros((100, 3))
    losses = _generator().standard_normal(100)
    mean, variance = grown(
        rows, losses, NUMBERS, _generator(), ForestSettings(is_bootstrapped=False)
    ).predicted(rows[:1])
    assert mean[0] == pytest.approx(losses.mean())
    assert variance[0] == pytest.approx(losses.var())


def test_choices_are_split_as_sets() -> None:
    """The good ones are not side by side."""
    generator = _generator()
    codes = generator.integers(0, 6, 200)
    rows = np.column_stack([(codes + 0.5) / 6, generator.random((200, 2))])
    losses = np.isin(codes, (0, 2, 5)).astype(np.float64)
    settings = ForestSettings(tried=1.0)
    choices = np.array([6, 0, 0])
    forest = grown(rows, losses, choices, generator, settings)
    mean, _ = forest.predicted(rows)
    assert np.abs(mean - losses).max() < 1e-9
    assert forest.used == 3 * settings.trees


def test_what_does_not_count_is_a_side_of_its_own() -> None:
    generator = _generator()
    rows = generator.random((200, 3))
    rows[::2, 0] = ABSENT
    losses = (rows[:, 0] == ABSENT).astype(np.float64)
    mean, _ = grown(rows, losses, NUMBERS, generator).predicted(
        np.array([[ABSENT, 0.5, 0.5], [1e-6, 0.5, 0.5]])
    )
    assert mean[0] > 0.8 > 0.2 > mean[1]


@pytest.mark.parametrize("score", [-50.0, -5.0, -1.0, 0.0, 3.0])
def test_improvement_is_what_the_formula_says(score: float) -> None:
    found = log_expected_improvement(np.array([-2 * score]), np.array([4.0]), 0.0)[0]
    gain = score * norm.cdf(score) + norm.pdf(score)
    if score > -30:
        assert found == pytest.approx(math.log(2 * gain), rel=1e-6)
    assert math.isfinite(found)


def test_improvement_stays_ordered_where_it_is_tiny() -> None:
    means = np.linspace(0, 1e5, 200)
    found = log_expected_improvement(means, np.ones(200), 0.0)
    assert (np.diff(found) < 0).all()


def test_failed_trials_count_as_the_worst() -> None:
    told = [Told({}, loss) for loss in (1.0, math.inf, 3.0, math.nan)]
    found = learnable_losses(told, _generator())
    assert found is not None
    assert found[1] == found[3] == found[2] > found[0]
    assert learnable_losses([Told({}, math.inf)], _generator()) is None


def test_losses_may_be_of_any_size_and_sign() -> None:
    for losses in ([-1e300, 0.0, 1e300], [5.0, 5.0], [1e-300, 2e-300], [0.0]):
        found = learnable_losses([Told({}, each) for each in losses], _generator())
        assert found is not None
        assert np.isfinite(found).all()


def test_costs_that_are_not_known_do_not_count() -> None:
    assert learnable_costs([Told({}, 1.0, 2.0), Told({}, 1.0)]) is None
    assert learnable_costs([Told({}, 1.0, 2.0), Told({}, 1.0, 4.0)]) is not None


def test_the_default_comes_first() -> None:
    assert propose(MIXED, [], [], _generator()) == [MIXED.default]


def test_the_same_arguments_give_the_same() -> None:
    told = _searched(PLANE, 20)
    one, other = (propose(PLANE, told, [], _generator(7), 3) for _ in range(2))
    assert one == other


def test_the_best_is_found() -> None:
    assert min(float(each.losses[0]) for each in _searched(PLANE, 50)) < 0.1


def test_proposals_are_sound_and_differ() -> None:
    generator, told = _generator(), list[Told]()
    for place in range(8):
        pending = propose(MIXED, told, [], generator, 5)
        for each in pending:
            assert MIXED.problems(each) == []
            loss = math.inf if place == 2 else float(each["other"])
            told.append(Told(each, loss, 1.0 + float(each["other"])))
    assert len({MIXED.key(each.configuration) for each in told}) == 40


def test_many_that_are_pending_are_not_proposed_again() -> None:
    told = _searched(PLANE, 15)
    pending = propose(PLANE, told, [], _generator(1), 10)
    again = propose(PLANE, told, pending, _generator(1), 10)
    assert not {PLANE.key(each) for each in pending} & {PLANE.key(each) for each in again}


def test_a_small_space_is_tried_whole_before_anything_comes_twice() -> None:
    space = Space((Choice("a", tuple("xyz"), "x"), Integer("b", 1, 4, 1)))
    generator, told = _generator(), list[Told]()
    for _ in range(12):
        (found,) = propose(space, told, [], generator)
        told.append(Told(found, float(found["b"])))
    assert len({space.key(each.configuration) for each in told}) == 12
    (found,) = propose(space, told, [], generator)
    assert space.problems(found) == []


def test_many_at_once_take_a_small_space_whole() -> None:
    """Also where more are asked for than are kept in mind between them."""
    space = Space((Choice("a", tuple("abcdefgh"), "a"), Integer("b", 1, 42, 1)))
    told = [Told(each, float(each["b"])) for each in propose(space, [], [], _generator(), 12)]
    found = propose(space, told, [], _generator(), 324)
    known = (*found, *(each.configuration for each in told))
    assert len({space.key(each) for each in known}) == 336


def test_what_is_believed_is_known() -> None:
    generator = _generator()
    rows, row = generator.random((50, 3)), generator.random((1, 3))
    forest = grown(rows, _surface(rows), NUMBERS, generator, room=1)
    before, _ = forest.predicted(row)
    forest.believe(row[0])
    after, variance = forest.predicted(row)
    assert after[0] == pytest.approx(before[0])
    assert variance[0] == pytest.approx(0.0, abs=1e-12)
    mean, _ = forest.predicted(rows)
    assert np.median(np.abs(mean - _surface(rows))) < 1e-9


def test_proposals_keep_narrow_constraints() -> None:
    names = "abcdef"
    parameters = tuple(Float(name, 0, 1, 0.01) for name in names)
    space = Space(parameters, (Linear(tuple((name, 1.0) for name in names), 0.1),))
    generator, told = _generator(), list[Told]()
    for _ in range(12):
        (found,) = propose(space, told, [], generator)
        assert space.problems(found) == []
        told.append(Told(found, -float(found["a"])))


def test_a_search_in_which_all_failed_goes_on() -> None:
    told = [Told(each, math.inf) for each in propose(PLANE, [], [], _generator(), 20)]
    (found,) = propose(PLANE, told, [], _generator())
    assert PLANE.problems(found) == []


def test_several_objectives_spread_over_the_front() -> None:
    generator, told = _generator(), list[Told]()
    for _ in range(60):
        (found,) = propose(PLANE, told, [], generator)
        x, y = float(found["x"]), float(found["y"])
        told.append(Told(found, ((x - 2) ** 2 + y**2, (x + 2) ** 2 + y**2)))
    near = [each.configuration for each in told if abs(float(each.configuration["y"])) < 1.0]
    places = [float(each["x"]) for each in near if abs(float(each["x"])) < 2.5]
    assert min(places) < -1 and max(places) > 1 and len(places) > 15


def test_cheap_trials_are_preferred_where_losses_are_alike() -> None:
    generator = _generator()
    configurations = [PLANE.sample(generator) for _ in range(60)]
    told = [
        Told(each, float(each["y"]) ** 2, 1.0 if float(each["x"]) < 0 else 1_000.0)
        for each in configurations
    ]
    found = propose(PLANE, told, [], generator, 10)
    assert sum(float(each["x"]) < 0 for each in found) >= 8


def test_asking_is_quick_with_many_trials() -> None:
    """A loose bound on this thread's time; the benchmark has the tight one."""
    generator = _generator()
    space = Space(tuple(Float(f"x{place}", 0, 1, 0.5) for place in range(20)))
    told = [
        Told(each, float(each["x0"])) for each in (space.sample(generator) for _ in range(1_000))
    ]
    propose(space, told, [], generator)
    start = time.thread_time()
    propose(space, told, [], generator)
    assert time.thread_time() - start < 0.5


def test_a_trend_sees_a_bowl_where_rows_are_few() -> None:
    generator = _generator()
    rows, others = generator.random((20, 3)), generator.random((50, 3))
    trend = trend_of(rows, ((rows - 0.4) ** 2).sum(axis=1), NUMBERS)
    assert np.abs(trend.predicted(others) - ((others - 0.4) ** 2).sum(axis=1)).max() < 0.05


def test_there_is_little_trend_in_noise() -> None:
    apart = []
    for seed in range(20):
        generator = _generator(seed)
        losses = generator.standard_normal(60)
        trend = trend_of(generator.random((60, 3)), losses, NUMBERS)
        apart.append((trend.predicted(generator.random((50, 3))) - losses.mean()).var())
    assert np.mean(apart) < 0.2


@pytest.mark.parametrize("view", View)
def test_every_view_keeps_the_order(view: View) -> None:
    losses = [3.0, -1.0, 100.0, 0.5, 7.0]
    found = learnable_losses([Told({}, each) for each in losses], _generator(), view)
    assert found is not None
    assert (np.argsort(found) == np.argsort(losses)).all()
