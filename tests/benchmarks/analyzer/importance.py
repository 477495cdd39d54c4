"""How quickly permutation importance comes, and whether it is the same.

Part of `make bench NAME=analyzer`; alone it is `python -m tests.benchmarks.analyzer.importance`.
"""

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.inspection import permutation_importance as sklearns
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from common.data.schema import Column, Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.permutation import permutation_importance
from services.analyzer.domain.subject import Subject
from tests.benchmarks.harness import (
    Aim,
    Measure,
    interleave,
    is_quick,
    middle,
    publish,
    repeats,
    say,
)
from tests.support.analysis import numeric_columns, sample_of, sklearn_model, subject_of

NOTES = (
    "Permutation importance: 20 features x 100,000 rows x 5 repeats by accuracy, of models fitted "
    "on 20,000 other rows; theirs is sklearn.inspection's with n_jobs=2. Medians of interleaved "
    "rounds; what is compiled or started once is so before. Ours includes the conversion of the "
    "columns and the outputs without permutation, and gives an interval over rows and repeats; an "
    "importance counts as the same if the intervals of both meet, of theirs over its repeats.",
)
_FITTED, _FEATURES, _REPEATS = 20_000, 20, 5
_FASTER = Aim(ratio=0.7)
_T95 = 2.776  # of five repeats

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Run:
    """What a run took, and the mean and half the interval of each importance."""

    seconds: float
    means: Matrix
    halves: Matrix

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s"


def importance() -> list[Measure]:
    """Measures permutation importance of several kinds of models."""
    say("Permutation importance")
    rows = 100_000 // (50 if is_quick() else 1)
    values, truth = make_classification(
        _FITTED + rows, _FEATURES, n_informative=10, n_redundant=4, random_state=0
    )
    columns = numeric_columns(values, [f"column {place}" for place in range(_FEATURES)])
    measures = []
    for name, estimator, aim in _estimators():
        estimator.fit(values[:_FITTED], truth[:_FITTED])
        if isinstance(estimator, RandomForestClassifier):
            estimator.n_jobs = None
        measures += _compared(name, estimator, columns, values[_FITTED:], truth[_FITTED:], aim)
    return measures


def _estimators() -> list[tuple[str, Any, Aim | None]]:
    return [
        ("boosted trees", HistGradientBoostingClassifier(random_state=0), _FASTER),
        ("random forest", RandomForestClassifier(30, random_state=0, n_jobs=-1), _FASTER),
        ("logistic regression", LogisticRegression(), _FASTER),
        ("perceptron", MLPClassifier((64,), max_iter=10, random_state=0), None),
    ]


def _compared(
    name: str,
    estimator: Any,
    columns: Mapping[str, Column],
    values: Matrix,
    truth: npt.NDArray[np.int64],
    aim: Aim | None,
) -> list[Measure]:
    def subject(count: int) -> Subject:
        own = {each: values[:count, place] for place, each in enumerate(columns)}
        sample = sample_of(columns, own, truth[:count])
        return subject_of(sklearn_model(estimator, columns, Task.CLASSIFICATION), sample)

    permutation_importance(subject(500), Budget(3600), repeats=2)
    sklearns(estimator, values[:500], truth[:500], n_repeats=2, n_jobs=2, random_state=0)

    def ours(number: int) -> _Run:
        own = subject(len(values))
        gc.collect()
        start = time.perf_counter()
        found = permutation_importance(own, Budget(3600), _REPEATS)
        seconds = time.perf_counter() - start
        means = np.array([each.mean for each in found.items])
        return _Run(seconds, means, np.array([each.high for each in found.items]) - means)

    def theirs(number: int) -> _Run:
        gc.collect()
        start = time.perf_counter()
        found = sklearns(
            estimator, values, truth, n_repeats=_REPEATS, n_jobs=2, random_state=number
        )
        seconds = time.perf_counter() - start
        halves = _T95 * found.importances.std(axis=1, ddof=1) / np.sqrt(_REPEATS)
        return _Run(seconds, found.importances_mean, halves)

    runs = interleave({"ours": ours, "scikit-learn": theirs}, repeats(3))
    seconds = {each: middle([run.seconds for run in found]) for each, found in runs.items()}
    same = min(
        _meeting(one, other) for one, other in zip(runs["ours"], runs["scikit-learn"], strict=True)
    )
    return [
        Measure.of(
            f"permutation importance, {name}, s", seconds["ours"], seconds["scikit-learn"], aim
        ),
        Measure.of(
            f"the same: importances of {_FEATURES} that agree, {name}",
            same,
            aim=Aim(at_least=_FEATURES),
        ),
    ]


def _meeting(one: _Run, other: _Run) -> int:
    """Returns of how many features the intervals meet."""
    return int((np.abs(one.means - other.means) <= one.halves + other.halves + 1e-12).sum())


if __name__ == "__main__":
    publish("importance", importance(), NOTES)
