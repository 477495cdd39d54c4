"""What is tried first follows from what is known of other sets, whatever they hold."""

import numpy as np
import pandas as pd
import pytest

from services.tuner.domain.families.family import Family
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.portfolio.adapting import adapted
from services.tuner.domain.portfolio.defaults import FIRST
from services.tuner.domain.portfolio.known_set import KnownScore, KnownSet
from services.tuner.domain.portfolio.meta_features import meta_features
from services.tuner.domain.portfolio.ordering import first_candidates, greedy
from services.tuner.domain.portfolio.regrets import regrets
from services.tuner.domain.portfolio.similarity import weights_of
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.reading import problem_from_frame
from services.tuner.domain.search.loop import fitting_families
from services.tuner.domain.search.sources import Sources
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer
from services.tuner.domain.space.space import Space


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Numbers that tell a class."""
    values = np.random.default_rng(0).normal(size=(120, 4))
    frame = pd.DataFrame(values, columns=list("abcd"))
    frame["y"] = np.where(frame["a"] > 0, "yes", "no")
    return problem_from_frame(frame, "y")


@pytest.fixture(scope="module")
def families(problem: Problem) -> dict[str, Family]:
    """Those that fit it."""
    return fitting_families(problem, list(FAMILIES.values()))[0]


def known(
    scores: dict[str, float],
    features: dict[str, float],
    settings: Configuration | None = None,
    kind: ProblemKind = ProblemKind.BINARY,
) -> KnownSet:
    """Returns what is known of a set: regrets by family."""
    return KnownSet(
        source="s",
        kind=kind,
        metric="roc_auc",
        features=features,
        scores=tuple(
            KnownScore(family=family, settings=dict(settings or {}), regret=regret, seconds=1)
            for family, regret in scores.items()
        ),
    )


def test_ratios_of_losses_are_compared() -> None:
    assert regrets([0.2, 0.1, 0.1 * 2**0.5, 0.9, np.inf]) == [1.0, 0.0, 0.5, 1.0, 1.0]


def test_losses_below_zero_are_compared_by_their_spread() -> None:
    assert regrets([-0.9, -0.7, 0.5]) == [0.0, 0.5, 1.0]
    assert regrets([0.0, 0.0]) == [0.0, 0.0] and regrets([]) == []
    assert regrets([np.inf]) == [1.0]


def test_settings_from_elsewhere_are_made_to_fit() -> None:
    """A range may be another, a choice may be missing, and what depends on it too."""
    space = Space(
        (
            Integer("depth", 1, 8, 4),
            Float("rate", 0.1, 1.0, 0.5),
            Choice("way", ("a", "b"), "a"),
            Float("slope", 0.0, 1.0, 0.5, when=Condition("way", ("b",))),
        )
    )
    some: Configuration = {"depth": 20, "rate": "x", "way": "c", "slope": 0.1, "other": 1}
    assert adapted(space, some) == {"depth": 8, "rate": 0.5, "way": "a"}
    assert adapted(space, {"way": "b", "depth": 2.5}) == {
        "depth": 4,
        "rate": 0.5,
        "way": "b",
        "slope": 0.5,
    }


def test_what_gains_most_for_its_time_comes_first() -> None:
    found = np.array([[0.5, 0.5], [0.0, 0.4], [0.4, 0.0], [0.1, 0.1], [0.5, 0.5]])
    costs = np.ones(5)
    assert greedy(found, np.array([1.0, 1.0]), costs, [0])[0] == 3
    assert greedy(found, np.array([1.0, 0.1]), costs, [0])[0] == 1
    assert greedy(found, np.array([1.0, 1.0]), np.array([1, 1, 1, 100, 1.0]), [0])[0] == 1


def test_what_was_not_tried_on_a_set_gains_nothing_there() -> None:
    found = np.array([[1.0, 1.0], [np.nan, 0.5], [0.5, 0.4], [np.nan, np.nan]])
    assert greedy(found, np.ones(2), np.ones(4), [0]) == [2]


def test_like_sets_count_more(problem: Problem) -> None:
    own = meta_features(problem)
    far = {name: value + 3 for name, value in own.items()}
    sets = [
        known({}, own),
        known({}, far),
        known({}, own, kind=ProblemKind.REGRESSION),
        known({}, {}),
    ]
    weights = weights_of(sets, ProblemKind.BINARY, "roc_auc", own)
    assert weights[0] > 3 * weights[1] > 0
    assert weights[0] > 3 * weights[2] > 0
    assert weights[3] == pytest.approx(weights[1], abs=0.05)


def test_the_order_follows_what_was_good_on_like_sets(
    problem: Problem, families: dict[str, Family]
) -> None:
    own = meta_features(problem)
    far = {name: value + 3 for name, value in own.items()}
    floors = {"light_boosting": 0.9, "random_forest": 0.9, "hist_boosting": 0.9}
    sets = [
        known({**floors, "naive_bayes": 0.0, "linear": 0.8}, own),
        known({**floors, "naive_bayes": 0.9, "linear": 0.0}, far),
    ]
    order = [name for name, _ in first_candidates(problem, families, "roc_auc", sets)]
    usual = [name for name, _ in FIRST]
    assert order[:6] == [*usual[:5], "naive_bayes"]
    assert set(order) >= {name for name, _ in FIRST if name in families}


def test_nothing_known_is_the_usual_order_and_nothing_at_all_are_defaults(
    problem: Problem, families: dict[str, Family]
) -> None:
    assert first_candidates(problem, families, "roc_auc", []) == list(FIRST)
    defaults = first_candidates(problem, families, "roc_auc", None)
    assert defaults == [(name, {}) for name in families]


def test_foreign_settings_and_families_stop_nothing(
    problem: Problem, families: dict[str, Family]
) -> None:
    """A record may come from another version of the suite."""
    settings: Configuration = {"num_leaves": 10**12, "learning_rate": "fast", "C": True, "new": 1}
    sets = [known({"light_boosting": 0.0, "linear": 0.0, "kan": 0.0}, {}, settings)]
    first = first_candidates(problem, families, "roc_auc", sets)
    sources = Sources(problem, list(families.values()), 0, first)
    assert first
    for _ in range(len(first)):
        candidate, _ = sources.next(None)  # type: ignore[arg-type]
        space = families[candidate.family].space(problem)
        assert not space.problems(candidate.configuration)
