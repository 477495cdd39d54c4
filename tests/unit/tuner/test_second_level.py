"""Candidates that learn from others: what they see, and above all what they must not see."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.metrics import roc_auc_score

from common.data.schema import Column, ColumnType
from common.models.estimators.blending import BlendedClassifier, BlendedRegressor, BlendGroup
from common.models.skops_model import open_skops
from services.tuner.domain.families.family import outputs_of
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.folds import fold_splits
from services.tuner.domain.problem import Outputs, Problem, ProblemKind
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.second_level import SecondLevel
from services.tuner.domain.trials.lessons import INNER_FOLDS, Lessons, reweighed, row_errors
from services.tuner.domain.trials.trial import Candidate, Lesson, Split, TrialResult, TrialTask

ROWS = 240


def made(kind: ProblemKind) -> Problem:
    """Two numbers and a colour, which tell the truth but for some noise."""
    generator = np.random.default_rng(3)
    numbers = generator.normal(size=(ROWS, 2))
    colour = generator.integers(0, 3, ROWS)
    signal = numbers[:, 0] + (colour == 1) + 0.3 * generator.normal(size=ROWS)
    features = pd.DataFrame(numbers, columns=["a", "b"])
    features["colour"] = np.array(["red", "green", "blue"], object)[colour]
    columns = (
        Column("a", ColumnType.NUMERIC),
        Column("b", ColumnType.NUMERIC),
        Column("colour", ColumnType.CATEGORICAL, categories=("blue", "green", "red")),
    )
    truths = {
        ProblemKind.BINARY: (signal > 0).astype(np.int64),
        ProblemKind.MULTICLASS: np.digitize(signal, [-0.5, 0.8]).astype(np.int64),
        ProblemKind.MULTI_LABEL: np.column_stack([signal > 0, numbers[:, 1] > 0]).astype(np.int8),
        ProblemKind.REGRESSION: signal,
    }
    outputs = {
        ProblemKind.BINARY: ("no", "yes"),
        ProblemKind.MULTICLASS: ("x", "y", "z"),
        ProblemKind.MULTI_LABEL: ("one", "two"),
        ProblemKind.REGRESSION: ("target",),
    }
    return Problem(kind, columns, features, truths[kind], outputs[kind])


def candidate(
    problem: Problem, number: int, family: str, *bases: Candidate, lesson: Lesson = Lesson.OUTPUTS
) -> Candidate:
    configuration = FAMILIES[family].space(problem).default
    return Candidate(number, family, configuration, bases, lesson)


def blended(problem: Problem, estimator: Any) -> Any:
    """Returns a blend of one estimator, as the catalog keeps it."""
    groups, names = [BlendGroup([estimator], 1.0)], list(problem.features)
    if problem.kind is ProblemKind.REGRESSION:
        return BlendedRegressor.of(groups, names)
    is_multilabel = problem.kind is ProblemKind.MULTI_LABEL
    return BlendedClassifier.of(groups, names, problem.outputs, is_multilabel=is_multilabel)


def out_of_fold(problem: Problem, wanted: Candidate) -> Outputs:
    """Returns what a candidate says of rows that it was not given."""
    found = np.zeros((problem.row_count, len(problem.outputs)))
    for split in fold_splits(problem, 3, 0):
        judged = problem.take(split.judged)
        lessons = Lessons(FAMILIES, 0, lambda: 60.0)
        fitted = lessons.fitted(wanted, problem.take(split.train), judged)
        found[split.judged] = outputs_of(fitted.estimator, judged.features, problem)
    return found


@pytest.mark.parametrize("kind", list(ProblemKind)[:4])
def test_a_second_level_is_fitted_and_kept(kind: ProblemKind) -> None:
    """Of every kind of problem: it is about as good as its bases, and predicts alike once kept."""
    problem = made(kind)
    tree, linear = candidate(problem, 0, "decision_tree"), candidate(problem, 1, "linear")
    top = candidate(problem, 2, "linear", tree, linear)
    fitted = Lessons(FAMILIES, 0, lambda: 60.0).fitted(top, problem, problem)
    outputs = outputs_of(fitted.estimator, problem.features, problem)
    limit = 0.55 if kind is ProblemKind.REGRESSION else 0.4
    assert row_errors(problem, outputs).mean() < limit
    blend = blended(problem, fitted.estimator)
    model = open_skops(skops.io.dumps(blend), "model")
    assert [each.name for each in model.columns] == ["a", "b", "colour"]
    assert np.array_equal(
        model.estimator.predict(problem.features), blend.predict(problem.features)
    )
    assert len(fitted.estimator.estimators_) == 2
    assert {len(each.estimators_) for each in fitted.estimator.estimators_} == {INNER_FOLDS}


@pytest.mark.parametrize("lesson", list(Lesson))
def test_nothing_is_learned_where_there_is_nothing(lesson: Lesson) -> None:
    """With labels at random no lesson tells the truth of rows that are judged."""
    problem = made(ProblemKind.BINARY)
    scores = []
    for seed in range(4):
        truth = np.random.default_rng(seed).permutation(problem.truth)
        shuffled = replace(problem, truth=truth)
        base = candidate(shuffled, 0, "decision_tree")
        top = candidate(shuffled, 1, "decision_tree", base, lesson=lesson)
        scores.append(roc_auc_score(truth, out_of_fold(shuffled, top)[:, 1]))
    # By chance it is 0.5 or a little less: what is judged is missing from what is learned.
    assert np.mean(scores) < 0.55


def test_rows_that_are_got_wrong_weigh_more_or_less() -> None:
    """The weights of a problem are kept, and so is their mean."""
    problem = replace(made(ProblemKind.BINARY), weights=np.linspace(1, 3, ROWS))
    errors = np.where(np.arange(ROWS) % 2, 0.9, 0.1)
    hard = reweighed(problem, errors, Lesson.HARD_ROWS).weights
    clean = reweighed(problem, errors, Lesson.CLEAN_ROWS).weights
    assert hard is not None and clean is not None and problem.weights is not None
    assert hard.mean() == pytest.approx(2.0) and clean.mean() == pytest.approx(2.0)
    up, down = hard / problem.weights, clean / problem.weights
    assert up[1::2].min() > 2 * up[::2].max()
    assert down[::2].min() > 2 * down[1::2].max()


def test_errors_are_shares() -> None:
    """Of classes 1 less the probability of the truth; of values 0.5 where it is the median."""
    classes = made(ProblemKind.BINARY)
    sure = np.eye(2)[classes.truth.astype(np.int64)]
    assert row_errors(classes, sure).max() == 0
    assert row_errors(classes, 1 - sure).min() == 1
    values = made(ProblemKind.REGRESSION)
    off = row_errors(values, values.truth.astype(np.float64).reshape(-1, 1) + 2)
    assert off == pytest.approx(np.full(ROWS, 0.5))


def library_of(*losses: tuple[str, float]) -> Library:
    """Returns complete candidates, a second for each of their two folds."""
    problem = made(ProblemKind.BINARY)
    rows = np.arange(ROWS)
    library = Library([Split(rows[::2], rows[1::2]), Split(rows[1::2], rows[::2])])
    for number, (family, loss) in enumerate(losses):
        entry = candidate(problem, number, family)
        library.register(entry, "test")
        for fold in range(2):
            task = TrialTask(entry, fold, 1.0, 9.0)
            library.add(TrialResult(task, loss, None, {}, 1.0, 0.0, 0, 0, "kept"))
    return library


def test_the_best_of_some_families_teach_the_best() -> None:
    """None that is far behind, a family once, nothing for which there is no time, nothing twice."""
    problem = made(ProblemKind.BINARY)
    spaces = {
        name: each.space(problem) for name, each in FAMILIES.items() if not each.fits(problem)
    }
    level = SecondLevel(problem, spaces)
    library = library_of(
        ("random_forest", 0.3), ("decision_tree", 0.2), ("random_forest", 0.25), ("linear", 0.9)
    )
    assert level.suggested(library, 0.3, 60.0) == []
    found = level.suggested(library, 0.5, 60.0)
    assert [(family, lesson) for family, _, _, lesson in found] == [
        ("decision_tree", Lesson.OUTPUTS),
        ("linear", Lesson.OUTPUTS),
        ("decision_tree", Lesson.HARD_ROWS),
        ("decision_tree", Lesson.CLEAN_ROWS),
    ]
    assert [[each.number for each in bases] for _, _, bases, _ in found] == [
        [1, 2],
        [1, 2],
        [1],
        [1],
    ]
    assert level.suggested(library, 0.8, 60.0) == []
    hurried = SecondLevel(problem, spaces).suggested(library, 0.5, 4.5)
    lessons = [(len(bases), lesson) for _, _, bases, lesson in hurried]
    assert lessons == [(1, Lesson.OUTPUTS)] * 2, "rows are chosen only where that is quick"
    assert SecondLevel(problem, spaces).suggested(library, 0.5, 2.0) == []
