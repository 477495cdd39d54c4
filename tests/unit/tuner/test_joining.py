"""Models from outside join a blend only where rows that neither learned from say so."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from common.data.schema import Column, ColumnType
from common.models.estimators.combining import Mean
from common.scoring.kinds import ProblemKind
from common.scoring.registry import metric_for
from services.tuner.domain.ensemble.joining import (
    Guest,
    Joined,
    guest_loss,
    join,
    joined_estimator,
    judged_rows,
)
from services.tuner.domain.ensemble.pool import Cost, Limits
from services.tuner.domain.ensemble.selection import Ensemble
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.library import PORTFOLIO, Library
from services.tuner.domain.trials.attempt import failed
from services.tuner.domain.trials.trial import Candidate, Split, TrialFailure, TrialTask

ROWS = 200
VALIDATION = np.arange(0, ROWS, 2)
METRIC = metric_for(ProblemKind.BINARY, "accuracy")


def outputs(right: float, seed: int) -> np.ndarray:
    """Returns probabilities that are right for a share of the rows."""
    chance = np.random.default_rng(seed).random(ROWS)
    second = np.where((chance < right) == (truth() == 1), 0.9, 0.1)
    return np.column_stack([1 - second, second])


def truth() -> np.ndarray:
    return np.arange(ROWS) // 2 % 2


@pytest.fixture
def problem() -> Problem:
    features = pd.DataFrame({"x": np.arange(ROWS, dtype=float)})
    columns = (Column("x", ColumnType.NUMERIC),)
    return Problem(ProblemKind.BINARY, columns, features, truth(), ("no", "yes"))


@pytest.fixture
def library() -> Library:
    """A candidate of two folds that is right in 70 of 100 rows."""
    halves = np.arange(ROWS // 2), np.arange(ROWS // 2, ROWS)
    splits = [Split(halves[1], halves[0]), Split(*halves)]
    made = Library(splits)
    candidate = Candidate(0, "linear", {})
    made.register(candidate, PORTFOLIO)
    for fold, split in enumerate(splits):
        task = TrialTask(candidate, fold, 1.0, 1.0)
        result = failed(task, TrialFailure.RAISED, "")
        found = outputs(0.7, 0)[split.judged]
        made.add(replace(result, failure=None, loss=0.3, outputs=found))
    return made


BLEND = Ensemble("best", {0: 1.0}, Mean.PLAIN, None, None, 0.3, 0.0, ())


class Estimator:
    """Says what it is told to."""

    def __init__(self, found: np.ndarray) -> None:
        self.found = found

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.found[features["x"].to_numpy(int)])


def guest(problem: Problem, right: float, number: int = 7, size: float = 1.0) -> Guest:
    found = outputs(right, number)
    loss = guest_loss(problem, METRIC, VALIDATION, found[VALIDATION])
    cost = Cost(0.0, size)
    estimator = Estimator(found)
    return Guest(number, "deep_table", {}, estimator, found[VALIDATION], 1.0, cost, loss)


def joined(problem: Problem, library: Library, *guests: Guest, limits: Limits) -> Joined:
    rows = judged_rows(library, BLEND, VALIDATION)
    assert np.array_equal(rows, VALIDATION)
    found = join(problem, METRIC, library, BLEND, guests, rows, limits)
    assert found is not None
    return found


def test_a_better_model_takes_most_of_the_blend(problem: Problem, library: Library) -> None:
    found = joined(problem, library, guest(problem, 0.95), limits=Limits())
    assert found.share > 0.5
    assert found.judged.loss < found.alone.loss
    assert found.row_count == len(VALIDATION)


def test_a_worse_model_stays_outside(problem: Problem, library: Library) -> None:
    found = joined(problem, library, guest(problem, 0.3), limits=Limits())
    assert found.weights == {} and found.judged.loss == found.alone.loss
    assert joined_estimator(problem, "own", BLEND, found) == "own"


def test_bounds_of_the_model_hold(problem: Problem, library: Library) -> None:
    large, small = guest(problem, 0.95, 7, 100.0), guest(problem, 0.9, 8, 1.0)
    found = joined(problem, library, large, small, limits=Limits(bytes=50.0))
    assert set(found.weights) == {8}


def test_the_estimator_averages_as_was_judged(problem: Problem, library: Library) -> None:
    other = guest(problem, 0.95)
    found = joined(problem, library, other, limits=Limits())
    own = Estimator(outputs(0.7, 0))
    model = joined_estimator(problem, own, BLEND, found)
    expected = (1 - found.share) * own.found + found.share * other.estimator.found
    assert np.allclose(model.predict_proba(problem.features), expected)
    assert set(model.predict(problem.features)) == {"no", "yes"}


def test_few_rows_tell_nothing(problem: Problem, library: Library) -> None:
    few = VALIDATION[:5]
    other = replace(guest(problem, 0.95), outputs=outputs(0.95, 7)[few])
    assert join(problem, METRIC, library, BLEND, [other], few, Limits()) is None
