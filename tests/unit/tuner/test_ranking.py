"""By what candidates are ranked: what they are worth once calibrated, and what they add."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from common.data.schema import Column, ColumnType
from common.scoring.registry import metric_for
from services.tuner.domain.ensemble.scaling import sharpened_loss
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.mixing import Mixing
from services.tuner.domain.trials.trial import Candidate, Split, TrialResult, TrialTask

ROWS = 600

Floats = npt.NDArray[np.float64]


def drawn(seed: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Returns classes and the probabilities that they were drawn by."""
    generator = np.random.default_rng(seed)
    scores = 2 * generator.normal(size=(ROWS, 3))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return np.array([generator.choice(3, p=each) for each in shares]), shares


def with_scores(shares: Floats, scale: float) -> Floats:
    """Returns probabilities whose scores are scaled."""
    found = shares**scale
    return np.asarray(found / found.sum(axis=1, keepdims=True))


@given(seed=st.integers(0, 20), scale=st.floats(0.3, 3.0))
def test_how_sure_a_candidate_is_does_not_matter(seed: int, scale: float) -> None:
    """A forest that is too careful is worth what it is worth once it is calibrated."""
    truth, shares = drawn(seed)
    metric = metric_for(ProblemKind.MULTICLASS, "log_loss")
    honest = sharpened_loss(metric, truth, shares, None)
    found = sharpened_loss(metric, truth, with_scores(shares, scale), None)
    assert found == pytest.approx(honest, rel=0.03)
    assert honest <= log_loss(truth, shares, labels=[0, 1, 2]) + 1e-12


def test_what_does_not_look_at_sureness_is_left_as_it_is() -> None:
    truth, shares = drawn(0)
    metric = metric_for(ProblemKind.MULTICLASS, "accuracy")
    assert sharpened_loss(metric, truth, shares, None) == metric.loss(truth, shares)


def mixing_of(truth: Floats, *outputs: Floats) -> tuple[Mixing, Library]:
    """Returns candidates of a regression that have two folds."""
    features = pd.DataFrame({"column": np.zeros(ROWS)})
    columns = (Column("column", ColumnType.NUMERIC),)
    problem = Problem(ProblemKind.REGRESSION, columns, features, truth, ("target",))
    metric = metric_for(ProblemKind.REGRESSION, "rmse")
    rows = np.arange(ROWS)
    library = Library([Split(rows[::2], rows[1::2]), Split(rows[1::2], rows[::2])])
    for number, values in enumerate(outputs):
        candidate = Candidate(number, "linear", {})
        entry = library.register(candidate, "test")
        for fold, split in enumerate(library.splits):
            own = values[split.judged, None]
            loss = metric.loss(truth[split.judged], own)
            task = TrialTask(candidate, fold, 1.0, 1.0)
            entry.results.append(TrialResult(task, loss, own, {}, 1.0, 0.0, 0, 0, "kept"))
    return Mixing(problem, metric, library), library


def test_what_errs_differently_adds_to_a_better_one_and_what_errs_alike_does_not() -> None:
    """A worse model may be worth its folds for a blend; a worse copy is not."""
    generator = np.random.default_rng(0)
    truth = generator.normal(size=ROWS)
    error, other = generator.normal(size=(2, ROWS))
    mixing, library = mixing_of(truth, truth + error, truth + 1.3 * error, truth + 1.3 * other)
    best, copy, different = library.entries.values()
    assert mixing.gain(copy, best) == 0
    # The best mean of both has a variance of 1.69 / 2.69.
    assert mixing.gain(different, best) == pytest.approx(1 - (1.69 / 2.69) ** 0.5, abs=0.04)
    assert mixing.gain(best, best) == pytest.approx(0, abs=1e-12)
