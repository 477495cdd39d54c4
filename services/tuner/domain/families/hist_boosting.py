"""Gradient boosting by scikit-learn; its default is a floor that nothing may fall below."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.multioutput import MultiOutputClassifier
from threadpoolctl import threadpool_limits

from services.tuner.domain.families.boosting import (
    PreparedFold,
    has_long_tail,
    prepared_fold,
    prior,
    trees_per_round,
)
from services.tuner.domain.families.family import Fitted, Fold, TimeLeft
from services.tuner.domain.families.shared import (
    ALL_KINDS,
    class_weight_parameters,
    quiet,
)
from services.tuner.domain.preparation.preparing import (
    Wanted,
    category_positions,
    preparation_parameters,
)
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer, Parameter
from services.tuner.domain.space.space import Space, joined

ROUNDS = "rounds"
"""The setting that says how many rounds to learn where no rows are watched."""

_USUAL_ROUNDS, _MOST_ROUNDS = 100, 2000
_PATIENCE = 3.0
"""Rounds times learning rate without progress, after which learning ends."""
_FIRST_STEP = 10
_STEP_SHARE = 0.3
"""Share of the time left that a step takes at most: each begins by putting the rows into bins."""
_SECONDS_PER_VALUE = 8e-9
_SECONDS_PER_BIN = 8e-9

_QUANTILE = "quantile"
_WATCHED = Condition("stopping", ("watched",))
_PARAMETERS: tuple[Parameter, ...] = (
    Choice("stopping", ("usual", "watched"), "usual"),
    Float("learning_rate", 0.01, 0.3, 0.1, is_log=True, when=_WATCHED),
    Integer("max_leaf_nodes", 3, 255, 31, is_log=True),
    Integer("min_samples_leaf", 1, 100, 20, is_log=True),
    Float("l2_regularization", 1e-8, 100.0, 1e-8, is_log=True),
    Float("max_features", 0.2, 1.0, 1.0),
    Integer("max_bins", 31, 255, 255, is_log=True),
)
_SETS = (Choice("category_splits", ("sets", "order"), "sets"),)


class HistBoosting:
    """Boosted trees over histograms, as a user of scikit-learn would fit them or better."""

    name = "hist_boosting"
    kinds = ALL_KINDS

    def fits(self, problem: Problem) -> str:
        """Returns nothing: it is for any problem."""
        return ""

    def space(self, problem: Problem) -> Space:
        """Returns its settings; with the defaults it is scikit-learn's as it comes."""
        own = (*_PARAMETERS, *_losses(problem))
        prepared = preparation_parameters(problem, Wanted.CODES)
        sets = _SETS if category_positions(problem, joined(own, prepared).default) else ()
        return joined(own, sets, prepared)

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns the time of the rounds that are usual."""
        rows, columns = problem.row_count, len(problem.columns)
        leaves = min(float(configuration["max_leaf_nodes"]), max(rows / 20, 2))
        a_tree = rows * columns * _SECONDS_PER_VALUE * np.log2(leaves + 1)
        a_tree += leaves * columns * float(configuration["max_bins"]) * _SECONDS_PER_BIN
        rounds = 10 / float(configuration.get("learning_rate", 0.1))
        return float(rounds * trees_per_round(problem) * a_tree)

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """See `Family.fit`."""
        prepared = prepared_fold(problem, fold, configuration, Wanted.CODES, seed).dense()
        prepared = _without_empty_columns(prepared)
        made = _made(problem, prepared, configuration, seed)
        if problem.kind is not ProblemKind.MULTI_LABEL:
            parts = [_learned(made, prepared, time_left)]
            model = parts[0].model
        else:
            parts = _by_label(made, prepared, time_left)
            model = _joined(prepared, parts)
        rounds = max(each.rounds for each in parts)
        is_cut_short = any(each.is_cut_short for each in parts)
        return Fitted(prepared.pipeline(model), {ROUNDS: rounds}, is_cut_short)


@dataclass(frozen=True)
class _Part:
    """What was learned for one output, or for all classes."""

    model: Any
    rounds: int
    is_cut_short: bool


def _without_empty_columns(prepared: PreparedFold) -> PreparedFold:
    """Returns a fold where what has no value at all is constant: scikit-learn takes no other."""
    is_empty = np.isnan(prepared.train).all(axis=0)
    if not is_empty.any():
        return prepared
    return replace(prepared, train=np.where(is_empty, 0.0, prepared.train))


def _losses(problem: Problem) -> tuple[Parameter, ...]:
    if problem.kind is not ProblemKind.REGRESSION:
        return class_weight_parameters(problem)
    names: tuple[str, ...] = ("squared_error", "absolute_error")
    if problem.level is not None:
        names = (_QUANTILE, *names)
    # The gamma distribution's logarithmic link takes no 0.
    if has_long_tail(problem) and float(problem.truth.min()) > 0:
        names = (*names, "gamma")
    return (Choice("loss", names, names[0]),)


def _is_watching(configuration: Configuration) -> bool:
    return configuration["stopping"] == "watched"


def _made(problem: Problem, prepared: PreparedFold, configuration: Configuration, seed: int) -> Any:
    """Returns the estimator before it is fitted."""
    settings: dict[str, Any] = {each.name: configuration[each.name] for each in _PARAMETERS[2:]}
    settings["categorical_features"] = _set_positions(problem, prepared, configuration)
    settings |= {"random_state": seed, "max_iter": _USUAL_ROUNDS}
    if _is_watching(configuration):
        rate = float(configuration["learning_rate"])
        most = _MOST_ROUNDS if prepared.is_watched else configuration.get(ROUNDS, _USUAL_ROUNDS)
        settings |= {"learning_rate": rate, "max_iter": int(most)}
        settings["early_stopping"] = prepared.is_watched
        settings["n_iter_no_change"] = round(min(max(_PATIENCE / rate, 10), 100))
    if problem.kind is ProblemKind.REGRESSION:
        loss = configuration["loss"]
        quantile = problem.level if loss == _QUANTILE else None
        return HistGradientBoostingRegressor(loss=loss, quantile=quantile, **settings)
    return HistGradientBoostingClassifier(**settings)


def _set_positions(
    problem: Problem, prepared: PreparedFold, configuration: Configuration
) -> list[int] | None:
    """Returns the columns that are split into sets: scikit-learn takes no more than its bins."""
    if configuration.get("category_splits") != "sets":
        return None
    most = int(configuration["max_bins"])
    return [
        position
        for position in category_positions(problem, configuration)
        if len(np.unique(prepared.train[:, position])) <= most
    ]


def _by_label(made: Any, prepared: PreparedFold, time_left: TimeLeft) -> list[_Part]:
    """Learns labels one by one, each in its part of the time."""
    count = prepared.truth.shape[1]
    parts = []
    for label in range(count):
        kept = time_left() * (1 - 1 / (count - label))
        own = prepared.label(label)
        parts.append(_learned(clone(made), own, partial(_above, time_left, kept)))
    return parts


def _above(time_left: TimeLeft, kept: float) -> float:
    return time_left() - kept


def _joined(prepared: PreparedFold, parts: Sequence[_Part]) -> MultiOutputClassifier:
    model = MultiOutputClassifier(DummyClassifier(), n_jobs=1)
    model.estimators_ = [part.model for part in parts]
    model.classes_ = [part.model.classes_ for part in parts]
    model.n_features_in_ = prepared.width
    return model


def _learned(made: Any, prepared: PreparedFold, time_left: TimeLeft) -> _Part:
    """Learns in steps, as many rounds in each as leave time to end."""
    if is_classifier(made) and len(np.unique(prepared.truth)) == 1:
        return _Part(prior(prepared.truth), 1, False)
    most, done, step = made.max_iter, 0, _FIRST_STEP
    made.set_params(warm_start=True)
    while True:
        begin = time.monotonic()
        made.set_params(max_iter=min(done + step, most))
        # It has no setting for threads, and takes all cores.
        with quiet(), threadpool_limits(1, "openmp"):
            made.fit(prepared.train, prepared.truth, prepared.weights, **_watched(made, prepared))
        a_round = (time.monotonic() - begin) / (made.n_iter_ - done)
        is_done = made.n_iter_ < made.max_iter or made.n_iter_ == most
        done = made.n_iter_
        step = int(_STEP_SHARE * time_left() / max(a_round, 1e-9))
        if is_done or step < 1:
            return _Part(made, _cut_to_best(made), not is_done)


def _watched(made: Any, prepared: PreparedFold) -> dict[str, Any]:
    if made.early_stopping is not True:
        return {}
    return {"X_val": prepared.watched, "y_val": prepared.watched_truth}


def _cut_to_best(made: Any) -> int:
    """Takes away the rounds after the best one on watched rows, and returns how many are left."""
    if made.early_stopping is not True:
        return int(made.n_iter_)
    # The first score is that before all rounds.
    best = max(int(np.argmax(made.validation_score_)), 1)
    del made._predictors[best:]
    made.train_score_ = made.train_score_[: best + 1]
    made.validation_score_ = made.validation_score_[: best + 1]
    return best
