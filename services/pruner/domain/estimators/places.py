"""Where in a model its estimators are: within pipelines, blends, votes and the like."""

import dataclasses
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.pipeline import Pipeline

from common.models.estimators.blending import BlendedClassifier, BlendedRegressor

Truth = npt.NDArray[np.generic]
Transform = Callable[[Any], Any]


@dataclass(frozen=True)
class Place:
    """An estimator within a model that holds it.

    Attributes:
        name: Where it is, for people.
        estimator: It.
        replace: Puts another one there.
        features: From the features that the model takes to those that it takes.
        truth: From what is true of rows, as the model names it, to how it was learned there.
    """

    name: str
    estimator: Any
    replace: Callable[[Any], None]
    features: Transform
    truth: Callable[[Truth], Truth]


def places_of(model: Any, replace: Callable[[Any], None]) -> list[Place]:
    """Returns the estimators within a model that hold no others that are known.

    Args:
        model: A fitted estimator.
        replace: Puts another one in the place of the whole model.
    """
    return list(_within(Place("", model, replace, _same, _same)))


def _within(place: Place) -> Iterator[Place]:
    model = place.estimator
    if isinstance(model, Pipeline):
        yield from _within(_last_step(place, model))
    elif isinstance(model, BlendedClassifier | BlendedRegressor):
        for inner in _blended(place, model):
            yield from _within(inner)
    elif isinstance(model, VotingClassifier | VotingRegressor):
        for inner in _voting(place, model):
            yield from _within(inner)
    elif isinstance(model, CalibratedClassifierCV):
        for number, each in enumerate(model.calibrated_classifiers_, 1):
            yield from _within(_attribute(place, f"fold {number}", each, "estimator", _same))
    elif isinstance(model, TransformedTargetRegressor):
        yield from _within(_attribute(place, "", model, "regressor_", _transformed(model)))
    else:
        yield place


def _last_step(place: Place, model: Pipeline) -> Place:
    name, estimator = model.steps[-1]
    before = [step for _, step in model.steps[:-1] if step not in (None, "passthrough")]

    def replace(made: Any) -> None:
        model.steps[-1] = (name, made)

    return Place(place.name, estimator, replace, _after(place.features, before), place.truth)


def _blended(place: Place, model: BlendedClassifier | BlendedRegressor) -> Iterator[Place]:
    truth = _positions(model) if isinstance(model, BlendedClassifier) else _same
    for number, group in enumerate(model.estimators_, 1):
        name = f"{_within_name(place, 'member')} {number}, fold"
        held = Place(name, model, place.replace, place.features, place.truth)
        yield from _listed(held, "", group.estimators_, place.features, truth)


def _voting(place: Place, model: VotingClassifier | VotingRegressor) -> Iterator[Place]:
    truth = _positions(model) if isinstance(model, VotingClassifier) else _same
    kept = [name for name, each in model.named_estimators_.items() if each != "drop"]
    for name, inner in zip(
        kept, _listed(place, "member", model.estimators_, place.features, truth), strict=True
    ):

        def replace(made: Any, name: str = name, inner: Place = inner) -> None:
            inner.replace(made)
            model.named_estimators_[name] = made  # it would hold the old one, files too

        yield dataclasses.replace(inner, replace=replace)


def _listed(
    place: Place, word: str, held: MutableSequence[Any], features: Transform, truth: Transform
) -> Iterator[Place]:
    """Yields the estimators of a list that another one holds."""
    for index, estimator in enumerate(held):

        def replace(made: Any, index: int = index) -> None:
            held[index] = made

        name = f"{_within_name(place, word)} {index + 1}".strip()
        yield Place(name, estimator, replace, features, _both(place.truth, truth))


def _attribute(place: Place, word: str, holder: Any, name: str, truth: Transform) -> Place:
    def replace(made: Any) -> None:
        setattr(holder, name, made)

    inner = getattr(holder, name)
    where = _within_name(place, word) if word else place.name
    return Place(where, inner, replace, place.features, _both(place.truth, truth))


def _within_name(place: Place, word: str) -> str:
    return ", ".join(filter(None, (place.name, word))) if word else place.name


def _same(values: Any) -> Any:
    return values


def _after(first: Transform, steps: Sequence[Any]) -> Transform:
    def transform(features: Any) -> Any:
        found = first(features)
        for step in steps:
            found = step.transform(found)
        return found

    return transform


def _both(first: Transform, second: Transform) -> Transform:
    return lambda values: second(first(values))


def _positions(model: Any) -> Transform:
    """Members of ensembles learn positions of classes instead of their labels."""
    labels = np.asarray(model.classes_).astype(str).tolist()
    places = {label: place for place, label in enumerate(labels)}

    def positions(truth: Truth) -> Truth:
        return np.array([places[str(each)] for each in truth.tolist()], np.int64)

    return positions


def _transformed(model: TransformedTargetRegressor) -> Transform:
    def transform(truth: Truth) -> Truth:
        values = np.asarray(truth, np.float64).reshape(-1, 1)
        return np.asarray(model.transformer_.transform(values)).ravel()

    return transform
