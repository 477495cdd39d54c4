"""Perceptrons for tables: slopes, what they learn, time, and how they are kept."""

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.sparse import csr_array

from common.data.schema import Column, ColumnType
from common.models.estimators.perceptron import PiecewiseLinear
from common.models.skops_model import open_skops
from common.scoring.kinds import TABLE_KINDS
from services.tuner.domain.families.family import Fold, OutOfTimeError, outputs_of
from services.tuner.domain.families.perceptron import Perceptron
from services.tuner.domain.families.perceptron_learning import _Learner, learned
from services.tuner.domain.families.perceptron_plan import Goal, Plan
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.space.configuration import Configuration

FAMILY = Perceptron()
SMALL: Configuration = {"members": 2, "width": 32, "pieces": 8, "learning_rate": 0.01}
OUTPUTS = {
    ProblemKind.BINARY: ("no", "yes"),
    ProblemKind.MULTICLASS: ("a", "b", "c"),
    ProblemKind.MULTI_LABEL: ("p", "q"),
    ProblemKind.REGRESSION: ("target",),
}


def made(kind: ProblemKind, rows: int = 300) -> Problem:
    """Returns a problem whose target is no linear function of two numbers and a category."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(rows, 2))
    letters = generator.choice(list("xyz"), rows)
    value = np.abs(numbers[:, 0]) * 3 + np.where(letters == "x", 2.0, -1.0) - 2.0
    truth: Any = {
        ProblemKind.BINARY: (value > 0).astype(np.int64),
        ProblemKind.MULTICLASS: np.digitize(value, [-1.0, 1.0]),
        ProblemKind.MULTI_LABEL: np.column_stack([value > 0, numbers[:, 1] > 0]).astype(np.int8),
        ProblemKind.REGRESSION: value,
    }[kind]
    features = pd.DataFrame({"u": numbers[:, 0], "v": numbers[:, 1], "c": letters.astype(object)})
    columns = (
        Column("u", ColumnType.NUMERIC, distinct_count=rows),
        Column("v", ColumnType.NUMERIC, distinct_count=rows),
        Column("c", ColumnType.CATEGORICAL, categories=("x", "y", "z"), distinct_count=3),
    )
    return Problem(kind, columns, features, truth, OUTPUTS[kind])


def fold_of(problem: Problem, first: int = 200) -> Fold:
    """Returns the first rows to learn from; the others are watched."""
    rows = problem.features
    return Fold(
        rows.iloc[:first], problem.truth[:first], None, rows.iloc[first:], problem.truth[first:]
    )


def settled(problem: Problem, some: Configuration = SMALL) -> Configuration:
    return FAMILY.space(problem).completed(some)


def plan(**changed: Any) -> Plan:
    usual: dict[str, Any] = {
        **{"members": 3, "layers": 2, "width": 5, "activation": "silu", "pieces": 4},
        **{"learning_rate": 0.01, "weight_decay": 0.0, "dropout": 0.0, "batch": 16},
        **{"epochs": 5, "last": 5, "patience": 5, "seed": 0},
    }
    return Plan(**(usual | changed))


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_learns_and_is_kept(kind: ProblemKind) -> None:
    """All kinds of problems are learned, and a file of skops gives the same outputs."""
    problem = made(kind)
    fitted = FAMILY.fit(problem, fold_of(problem), settled(problem), 0, lambda: 60.0)
    outputs = outputs_of(fitted.estimator, problem.features, problem)
    assert outputs.shape == (problem.row_count, len(problem.outputs))
    if kind.has_classes:
        assert (outputs.argmax(axis=1) == problem.truth)[200:].mean() > 0.85
    elif kind is ProblemKind.MULTI_LABEL:
        assert ((outputs > 0.5) == problem.truth)[200:].mean() > 0.85
    else:
        assert np.corrcoef(outputs[200:, 0], problem.truth[200:].astype(np.float64))[0, 1] > 0.95
    kept = open_skops(skops.io.dumps(fitted.estimator), "model").estimator
    assert np.array_equal(outputs_of(kept, problem.features, problem), outputs)
    assert not fitted.is_cut_short


@pytest.mark.parametrize("kind", ["classes", "labels", "values"])
def test_slopes_are_those_of_the_loss(kind: str) -> None:
    """What goes back through the layers equals what small changes of weights do to the loss."""
    generator = np.random.default_rng(1)
    features = generator.normal(size=(16, 3)).astype(np.float32)
    wanted = np.eye(2, dtype=np.float32)[generator.integers(0, 2, 16)]
    learner = _Learner(features, Goal(kind, wanted), plan(), generator)
    rows = np.tile(np.arange(16), (3, 1))
    learner._backward(rows)

    def loss() -> float:
        outputs = learner.network.outputs(features).astype(np.float64)
        if kind == "values":
            return float(0.5 * np.square(outputs - wanted).sum() / 16)
        if kind == "labels":
            return float((np.logaddexp(0, outputs) - wanted * outputs).sum() / 16)
        most = np.logaddexp.reduce(outputs, axis=2, keepdims=True)
        return float(-(wanted * (outputs - most)).sum() / 16)

    for position in generator.integers(0, len(learner.values), 40):
        before, step = learner.values[position], np.float32(1e-2)
        learner.values[position] = before + step
        above = loss()
        learner.values[position] = before - step
        slope = (above - loss()) / (2 * float(step))
        learner.values[position] = before
        assert abs(slope - learner._slopes[position]) < 2e-3 + 0.02 * abs(slope)


def test_the_best_epoch_is_kept_and_can_be_repeated() -> None:
    """As many epochs without watched rows give the same network."""
    problem = made(ProblemKind.MULTICLASS)
    fold, some = fold_of(problem), settled(problem)
    found = FAMILY.fit(problem, fold, some, 3, lambda: 600.0)
    alone = Fold(fold.features, fold.truth)
    again = FAMILY.fit(problem, alone, {**some, **found.settings}, 3, lambda: 600.0)
    one = outputs_of(found.estimator, problem.features, problem)
    assert np.allclose(one, outputs_of(again.estimator, problem.features, problem), atol=1e-5)


def test_time_ends_learning() -> None:
    """A network that had no time for all epochs is returned, and said to be cut short."""
    problem = made(ProblemKind.REGRESSION, rows=6000)
    some = settled(problem, {"members": 8, "width": 128})
    end = time.monotonic() + 0.5
    fitted = FAMILY.fit(problem, fold_of(problem, 5000), some, 0, lambda: end - time.monotonic())
    assert fitted.is_cut_short
    assert time.monotonic() < end + 0.5
    assert np.isfinite(outputs_of(fitted.estimator, problem.features, problem)).all()


def test_without_any_time_there_is_no_network() -> None:
    """Weights that were only drawn are of no use."""
    problem = made(ProblemKind.BINARY)
    with pytest.raises(OutOfTimeError):
        FAMILY.fit(problem, fold_of(problem), settled(problem), 0, lambda: 0.0)


def test_classes_without_rows() -> None:
    """A class that is not learned has probability 0, and its watched rows do no harm."""
    problem = made(ProblemKind.MULTICLASS)
    rows = np.flatnonzero((problem.truth != 1) | (np.arange(problem.row_count) >= 200))
    gap = problem.take(rows)
    fitted = FAMILY.fit(gap, fold_of(gap, int((rows < 200).sum())), settled(gap), 0, lambda: 60.0)
    outputs = outputs_of(fitted.estimator, gap.features, gap)
    assert (outputs[:, 1] == 0).all()
    assert np.allclose(outputs.sum(axis=1), 1)


def test_sparse_rows_are_learned_as_dense_ones() -> None:
    """Texts come as sparse numbers."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 6)) * (generator.random((60, 6)) < 0.5)
    goal = Goal("values", features[:, :1].astype(np.float32))
    one = learned(features, goal, plan(), 60.0).network.outputs(features)
    other = learned(csr_array(features), goal, plan(), 60.0).network.outputs(csr_array(features))
    assert np.allclose(one, other, atol=1e-5)


def test_far_values_do_not_run_away() -> None:
    """A number far from all that was learned changes an output by no more than is known."""
    problem = made(ProblemKind.REGRESSION)
    fitted = FAMILY.fit(problem, fold_of(problem), settled(problem), 0, lambda: 60.0)
    far = problem.features.iloc[:2].assign(u=[1e9, -1e9])
    values = outputs_of(fitted.estimator, far, problem)
    truth = problem.truth.astype(np.float64)
    assert (np.abs(values - truth.mean()) < 2 * np.ptp(truth)).all()


def test_numbers_are_encoded_by_quantiles() -> None:
    """Columns of few values have no pieces; else each piece holds as many rows."""
    numbers = np.column_stack([np.linspace(0, 1, 101), np.arange(101) % 2]).astype(np.float32)
    encoding = PiecewiseLinear.of(numbers, 4)
    assert encoding.sources.tolist() == [0, 0, 0, 0]
    assert np.allclose(encoding.lows, [0, 0.25, 0.5, 0.75])
    assert np.allclose(encoding.encoded(numbers)[50, 2:], [0.5, 0.5, -0.5, -0.5])
