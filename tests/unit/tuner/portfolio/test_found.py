"""What a search has found, as others may know it: scores that can be compared, none of the data."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from services.tuner.domain.portfolio import found
from services.tuner.domain.portfolio.found import known_set
from services.tuner.domain.portfolio.known_set import KnownSet
from services.tuner.domain.portfolio.shipped import sets_from_lines, shipped_sets
from services.tuner.domain.problem import Problem
from services.tuner.domain.reading import problem_from_frame
from services.tuner.domain.search.library import Library
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.trials.trial import Candidate, Split, TrialResult, TrialTask

ROWS = 60


@pytest.fixture
def problem() -> Problem:
    """A secret column that tells a secret class."""
    values = np.random.default_rng(0).normal(size=ROWS)
    frame = pd.DataFrame({"salary": values, "y": np.where(values > 0, "ill", "well")})
    return problem_from_frame(frame, "y")


@pytest.fixture
def library() -> Library:
    """Without candidates, over two folds."""
    folds = np.arange(ROWS) % 2
    splits = [Split(np.flatnonzero(folds != n), np.flatnonzero(folds == n)) for n in range(2)]
    return Library(splits)


def add(library: Library, settings: Configuration, *losses: float) -> Candidate:
    """Adds a candidate with the losses of its first folds."""
    candidate = Candidate(len(library.entries), "linear", settings)
    library.register(candidate, "test")
    for fold, loss in enumerate(losses):
        task = TrialTask(candidate, fold, 1.0, 1.0)
        library.add(TrialResult(task, loss, np.zeros((30, 2)), {}, 0.5, 0.25, 0, 0, "kept"))
    return candidate


def test_candidates_are_compared_on_the_folds_that_they_have(
    problem: Problem, library: Library
) -> None:
    add(library, {"C": 0.5}, 0.1, 0.4)
    add(library, {"C": 2.0}, 0.2)
    add(library, {"C": 4.0}, 0.2, 0.8)
    add(library, {"C": 8.0})
    scores = known_set("tuningRuns/t", problem, "roc_auc", library).scores
    assert [(each.settings["C"], each.regret) for each in scores] == [(0.5, 0), (2.0, 1), (4.0, 1)]
    assert scores[0].seconds == 0.75


def test_usual_settings_and_those_who_learn_from_others_are_left_out(
    problem: Problem, library: Library
) -> None:
    base = add(library, {"C": 1 / 3, "penalty": "l2"}, 0.1, 0.1)
    stacked = add(library, {}, 0.01, 0.01)
    entry = library.entries[stacked.number]
    entry.candidate = replace(stacked, bases=(base,))
    [score] = known_set("tuningRuns/t", problem, "roc_auc", library).scores
    assert score.settings == {"C": 0.333}
    assert score.regret == 0


def test_of_many_candidates_the_best_are_kept(
    problem: Problem, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "MOST_KEPT", 3)
    for number in range(10):
        add(library, {"C": 0.01 + number}, 0.5 - 0.02 * number)
    scores = known_set("tuningRuns/t", problem, "roc_auc", library).scores
    assert [each.settings["C"] for each in scores] == [9.01, 8.01, 7.01]


def test_it_holds_nothing_of_the_data(problem: Problem, library: Library) -> None:
    add(library, {"C": 0.5}, 0.1, 0.4)
    written = known_set("tuningRuns/t", problem, "roc_auc", library).model_dump_json()
    assert not any(name in written for name in ("salary", "ill", "well"))
    assert str(problem.features["salary"][0])[:8] not in written
    assert sets_from_lines([written])[0] == KnownSet.model_validate_json(written)


def test_what_ships_can_be_read_and_is_small() -> None:
    sets = shipped_sets()
    assert sum(len(each.model_dump_json()) for each in sets) < 300_000
    assert len({each.source for each in sets}) == len(sets)
    assert all(each.scores and each.features for each in sets)
