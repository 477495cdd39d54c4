"""Estimators of scikit-learn taken apart: the steps that rows go through. Imports scikit-learn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.model_selection._search import BaseSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, Pipeline

_VOTING = (VotingClassifier, VotingRegressor)
_STACKING = (StackingClassifier, StackingRegressor)
_MANY = (OneVsRestClassifier, OneVsOneClassifier, MultiOutputClassifier, MultiOutputRegressor)
_MOST_BRANCHES = 16


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        name: Its path, unique.
        estimator: The fitted estimator; what is inside of it and is fitted, too, are other steps.
    """

    name: str
    estimator: Any

    @property
    def kind(self) -> str:
        """Its class."""
        return type(self.estimator).__name__


@dataclass
class Steps:
    """Steps of an estimator in the order in which they work.

    Attributes:
        steps: The steps.
        edges: Names of steps of which the second takes what the first gives.
        is_cut: Whether branches were left out, because there are many.
    """

    steps: list[Step] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)
    is_cut: bool = False


def steps_of(estimator: Any) -> Steps:
    """Takes a fitted estimator or pipeline apart."""
    found = Steps()
    _walk(found, "", estimator, [])
    return found


def _walk(found: Steps, name: str, estimator: Any, sources: Sequence[str]) -> list[str]:
    """Adds the steps of an estimator that takes what the sources give; returns those that give."""
    if _is_nothing(estimator):
        return list(sources)
    if isinstance(estimator, Pipeline):
        for below, step in estimator.steps:
            sources = _walk(found, _path(name, below), step, sources)
        return list(sources)
    branches = list(branches_of(estimator))
    found.is_cut = found.is_cut or len(branches) > _MOST_BRANCHES
    ends = [
        end
        for below, step in branches[:_MOST_BRANCHES]
        for end in _walk(found, _path(name, below), step, sources)
    ]
    if isinstance(estimator, ColumnTransformer | FeatureUnion) and ends:
        return list(dict.fromkeys(ends))
    if isinstance(estimator, _STACKING):
        return _walk(found, _path(name, "final"), estimator.final_estimator_, ends)
    return [_add(found, name, estimator, ends or sources)]


def branches_of(estimator: Any) -> Iterator[tuple[str, Any]]:
    """Yields what works inside of an estimator side by side, each on the same rows."""
    if isinstance(estimator, ColumnTransformer):
        yield from ((name, step) for name, step, _ in estimator.transformers_ if step != "drop")
    elif isinstance(estimator, FeatureUnion):
        yield from estimator.transformer_list
    elif isinstance(estimator, (*_VOTING, *_STACKING)):
        yield from estimator.named_estimators_.items()
    elif isinstance(estimator, _MANY):
        yield from ((str(place), each) for place, each in enumerate(estimator.estimators_))
    elif isinstance(estimator, CalibratedClassifierCV):
        folds = enumerate(estimator.calibrated_classifiers_)
        yield from ((str(place), each.estimator) for place, each in folds)
    elif isinstance(estimator, BaseSearchCV):
        yield "best", estimator.best_estimator_
    elif isinstance(estimator, TransformedTargetRegressor):
        yield "regressor", estimator.regressor_


def _is_nothing(estimator: Any) -> bool:
    return estimator is None or isinstance(estimator, str)


def _path(name: str, below: str) -> str:
    return f"{name}.{below}" if name else below


def _add(found: Steps, name: str, estimator: Any, sources: Sequence[str]) -> str:
    step = Step(name or type(estimator).__name__, estimator)
    found.steps.append(step)
    found.edges += [(source, step.name) for source in dict.fromkeys(sources)]
    return step.name
