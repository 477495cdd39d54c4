"""Estimators within others: where they are, what reaches them, and what is made of the whole."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import RandomForestClassifier, VotingClassifier, VotingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from common.models.estimators.filled_columns import FilledColumnsClassifier
from common.models.packaging import packaged
from common.models.skops_model import SkopsModel, open_skops
from common.scoring.registry import METRICS
from services.pruner.domain.estimators.columns import fewer_columns
from services.pruner.domain.estimators.material import Material, ModelRows
from services.pruner.domain.estimators.members import fewer_members
from services.pruner.domain.estimators.places import places_of
from services.pruner.domain.estimators.smaller import smaller_parts
from tests.support.pruning import blend, parts, table


def _voting() -> Any:
    members = [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))]
    return VotingClassifier(members, voting="soft")


def _target() -> Any:
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), DecisionTreeRegressor(max_depth=3)),
        transformer=StandardScaler(),
    )


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "alone": LogisticRegression,
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "voting": _voting,
    "calibrated": lambda: CalibratedClassifierCV(DecisionTreeClassifier(max_depth=3), cv=3),
    "pipeline of votes": lambda: make_pipeline(StandardScaler(), _voting()),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "voting": lambda: VotingRegressor([("a", LinearRegression()), ("b", DecisionTreeRegressor())]),
    "target": _target,
}


class _Holder:
    """Holds a model, as whoever replaces parts of it does."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def replace(self, made: Any) -> None:
        """Puts another model there."""
        self.model = made


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_is_refitted_in_its_place_is_as_good_as_what_was_there(name: str) -> None:
    """Features and truth reach each estimator as it learned them: fitted again it is the same."""
    frame, truth = table()
    holder = _Holder(CLASSIFIERS[name]().fit(frame, truth))
    expected = holder.model.predict_proba(frame)
    places = places_of(holder.model, holder.replace)
    assert len(places) == {"alone": 1, "pipeline": 1, "calibrated": 3}.get(name, 2)
    for each in places:
        estimator = each.estimator
        score = estimator.score(each.features(frame), each.truth(truth))
        assert score > 0.6, "it knows these labels for these features"
        each.replace(_marked(estimator))
    assert all(each.estimator.is_marked for each in places_of(holder.model, print))
    assert np.array_equal(holder.model.predict_proba(frame), expected)


@pytest.mark.parametrize("name", REGRESSORS)
def test_truth_of_regressors_is_on_their_own_scale(name: str) -> None:
    frame, _ = table()
    truth = 100 * frame["a"].to_numpy() + 500
    model = REGRESSORS[name]().fit(frame, truth)
    places = places_of(model, print)
    assert places
    for each in places:
        assert each.estimator.score(each.features(frame), each.truth(truth)) > 0.8


def test_replaced_votes_are_not_kept_under_their_names() -> None:
    """Files would be as large as before."""
    frame, truth = table()
    model = _voting().fit(frame, truth)
    places = places_of(model, print)
    for each in places:
        each.replace(_marked(each.estimator))
    assert len(model.named_estimators_) == len(places) > 0
    assert all(each.is_marked for each in model.named_estimators_.values())


def test_members_that_matter_most_stay() -> None:
    """Blends become smaller by halves, and the best of a single one is the last."""
    material = material_of(blend())
    made = list(fewer_members(material))
    assert [each.name for each in made] == ["members_4", "members_2", "members_1"]
    frame, choosing = material.choosing.features, material.choosing
    loss = METRICS["roc_auc"].loss
    full = loss(choosing.truth, material.model.estimator.predict_proba(frame))
    losses = [loss(choosing.truth, each.estimator.predict_proba(frame)) for each in made]
    assert losses[0] <= full + 0.005
    alone = [
        loss(choosing.truth, group.estimators_[0].predict_proba(frame))
        for group in material.model.estimator.estimators_
    ]
    assert losses[-1] == pytest.approx(min(alone))
    weights = [group.weight for group in made[0].estimator.estimators_]
    assert sum(weights) == pytest.approx(1)


def test_models_that_can_be_fitted_again_ask_for_fewer_columns() -> None:
    """Noise goes, and the file asks for the rest alone; rows of before are still taken."""
    frame, truth = table()
    learned = parts() == 0
    model = make_pipeline(StandardScaler(), RandomForestClassifier(30, random_state=0))
    made = _one(fewer_columns(material_of(model.fit(frame[learned], truth[learned]))))
    assert set(made.dropped) == {"c", "noise"}
    opened = open_skops(packaged(made.estimator, frame).content, "skops")
    assert [each.name for each in opened.columns] == ["a", "b"]
    before = made.estimator.predict_proba(frame)
    assert np.array_equal(before, made.estimator.predict_proba(frame[["b", "a"]]))
    assert any(each.startswith("`noise` goes. It tells no more") for each in made.notes)


def test_models_that_name_their_columns_get_typical_values_instead() -> None:
    """A column transformer that is told of each column cannot be fitted on fewer."""
    frame, truth = table()
    frame["colour"] = np.where(np.arange(len(frame)) % 3 == 0, "red", "blue")
    learned = parts() == 0
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["a", "b", "c", "noise"]),
            ("words", OneHotEncoder(), ["colour"]),
        ]
    )
    model = Pipeline([("columns", columns), ("forest", RandomForestClassifier(30, random_state=0))])
    made = _one(fewer_columns(material_of(model.fit(frame[learned], truth[learned]), frame)))
    assert isinstance(made.estimator, FilledColumnsClassifier)
    assert {"noise", "colour"} <= set(made.dropped)
    filled = frame.assign(colour="blue", noise=frame["noise"][learned].median())
    if "c" in made.dropped:
        filled["c"] = frame["c"][learned].median()
    assert np.array_equal(made.estimator.predict_proba(frame), model.predict_proba(filled))
    opened = open_skops(packaged(made.estimator, frame).content, "skops")
    assert "colour" not in [each.name for each in opened.columns]


def material_of(model: Any, frame: pd.DataFrame | None = None) -> Material:
    """Returns a model with rows to make it smaller with."""
    features, truth = table()
    features = features if frame is None else frame
    opened = open_skops(packaged(model, features).content, "skops")
    learned, choosing = (_rows(opened, features, truth, parts() == part) for part in (0, 1))
    return Material(opened, learned, choosing, METRICS["roc_auc"], 0, 30.0, lambda: None)


def _rows(model: SkopsModel, frame: pd.DataFrame, truth: Any, taken: Any) -> ModelRows:
    places = (truth[taken] == "yes").astype(np.int64)
    return ModelRows(frame[taken], places, np.asarray(model.estimator.classes_)[places])


def _one(made: Any) -> Any:
    [found] = made
    return found


def _marked(estimator: Any) -> Any:
    """Returns a copy that shows that it was put in its place."""
    made = copy.deepcopy(estimator)
    made.is_marked = True
    return made


def test_a_forest_that_cannot_be_fitted_anew_still_has_fewer_trees() -> None:
    """Rows that it has learned by heart tell nothing of what would be lost: halves are offered."""
    frame, truth = table()
    model = RandomForestClassifier(8, random_state=0).fit(frame, truth)
    made = list(smaller_parts(material_of(model)))
    assert made
    assert all(len(each.estimator.estimators_) <= 8 for each in made)
    sizes = [part.after for each in made for part in each.parts]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < made[0].parts[0].before
