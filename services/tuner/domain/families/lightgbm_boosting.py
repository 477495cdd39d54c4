"""Gradient boosting by LightGBM (Ke et al. 2017)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from common.models.estimators.boosted import BoostedClassifier, BoostedRegressor
from services.tuner.domain.families.boosting import (
    PreparedFold,
    has_long_tail,
    prepared_fold,
    prior,
    trees_per_round,
)
from services.tuner.domain.families.family import Fitted, Fold, TimeLeft
from services.tuner.domain.families.lightgbm_rounds import MOST_ROUNDS, Boosted, Rounds
from services.tuner.domain.families.shared import ALL_KINDS, class_weight_parameters
from services.tuner.domain.families.targets import TargetScale
from services.tuner.domain.preparation.preparing import (
    Wanted,
    category_positions,
    preparation_parameters,
)
from services.tuner.domain.problem import Problem, ProblemKind, Truth
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import (
    Choice,
    Condition,
    Float,
    Integer,
    Parameter,
    names_of,
)
from services.tuner.domain.space.space import Space, joined

ROUNDS = "rounds"
"""The setting that says how many rounds to learn where no rows are watched."""

_USUAL_PROGRESS = 15.0
"""Rounds times learning rate that usually are best."""
_FEW_ROWS, _FEW_LEAVES, _USUAL_LEAVES = 5000, 8, 31
"""Tables of few rows are learned better by small trees."""
_WIDE = 200
"""From so many columns on histograms are built column by column."""
_SECONDS_PER_VALUE = 1.2e-9
_SECONDS_PER_BIN = 1.5e-9
_SECONDS_PER_ROW = 6e-8

_QUANTILE = "quantile"

_PARAMETERS: tuple[Parameter, ...] = (
    Float("learning_rate", 0.005, 0.3, 0.05, is_log=True),
    Integer("min_child_samples", 1, 100, 20, is_log=True),
    Float("feature_fraction", 0.2, 1.0, 1.0),
    Float("bagging_fraction", 0.4, 1.0, 1.0),
    Float("reg_alpha", 1e-8, 10.0, 1e-8, is_log=True),
    Float("reg_lambda", 1e-8, 100.0, 1e-8, is_log=True),
    Integer("max_bin", 31, 1023, 255, is_log=True),
    Choice("extra_trees", (False, True), False),
)
_PASSED = ("num_leaves", *names_of(_PARAMETERS))
_IS_NATIVE = Condition("category_splits", ("sets",))
_SETS: tuple[Parameter, ...] = (
    Choice("category_splits", ("sets", "order"), "sets"),
    Float("cat_smooth", 1.0, 100.0, 10.0, is_log=True, when=_IS_NATIVE),
    Float("cat_l2", 0.1, 100.0, 10.0, is_log=True, when=_IS_NATIVE),
    Integer("min_data_per_group", 5, 200, 100, is_log=True, when=_IS_NATIVE),
)


class LightBoosting:
    """Boosted trees that grow leaf by leaf over histograms; the family to beat on tables."""

    name = "light_boosting"
    kinds = ALL_KINDS

    def fits(self, problem: Problem) -> str:
        """See `Family.fits`."""
        return ""

    def space(self, problem: Problem) -> Space:
        """See `Family.space`."""
        prepared = preparation_parameters(problem, Wanted.CODES)
        default = joined(prepared).default
        sets = _SETS if category_positions(problem, default) else ()
        leaves = _FEW_LEAVES if problem.row_count < _FEW_ROWS else _USUAL_LEAVES
        own = (Integer("num_leaves", 3, 255, leaves, is_log=True), *_PARAMETERS)
        return joined(own, sets, _objectives(problem), prepared)

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns roughly how many seconds a fit of all rows takes."""
        rows = problem.row_count * float(configuration["bagging_fraction"])
        columns = len(problem.columns) * float(configuration["feature_fraction"])
        leaves = min(float(configuration["num_leaves"]), max(rows / 10, 2))
        bins = min(float(configuration["max_bin"]), rows)
        a_tree = rows * columns * math.log2(leaves + 1) * _SECONDS_PER_VALUE
        a_tree += leaves * columns * bins * _SECONDS_PER_BIN + rows * _SECONDS_PER_ROW
        return _usual_rounds(configuration) * trees_per_round(problem) * a_tree

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """See `Family.fit`."""
        prepared = prepared_fold(problem, fold, configuration, Wanted.CODES, seed)
        if len(prepared.classes) == 1:
            return Fitted(prepared.pipeline(prior(prepared.truth)), {ROUNDS: 1})
        rounds = Rounds.of(
            prepared,
            _settings(problem, prepared, configuration, seed),
            _split_into_sets(problem, configuration),
            _most_rounds(prepared, configuration),
        )
        target = TargetScale.of(problem, prepared.truth, configuration.get("objective") == "log_l2")
        truths = [target.scaled(each) for each in _by_booster(problem, prepared, prepared.truth)]
        watched: list[Truth | None] = [None] * len(truths)
        if prepared.watched_truth is not None:
            watched = [
                target.scaled(each)
                for each in _by_booster(problem, prepared, prepared.watched_truth)
            ]
        boosters = [
            rounds.booster(truths[label], watched[label], time_left() / (len(truths) - label))
            for label in range(len(truths))
        ]
        return Fitted(
            prepared.pipeline(_estimator(problem, prepared, target, boosters)),
            {ROUNDS: int(np.median([each.rounds for each in boosters]))},
            any(each.is_cut_short for each in boosters),
        )


def _by_booster(problem: Problem, prepared: PreparedFold, truth: Truth) -> list[Truth]:
    """Returns what each booster learns: LightGBM's classes have no gaps."""
    if problem.kind is ProblemKind.MULTI_LABEL:
        return list(truth.T)
    return [np.searchsorted(prepared.classes, truth) if prepared.classes.size else truth]


def _estimator(
    problem: Problem, prepared: PreparedFold, target: TargetScale, boosters: Sequence[Boosted]
) -> BoostedClassifier | BoostedRegressor:
    texts = [each.text for each in boosters]
    width = prepared.width
    if problem.kind is ProblemKind.REGRESSION:
        return BoostedRegressor.of(texts[0], width, target.center, target.scale, target.is_log)
    if problem.kind is ProblemKind.MULTI_LABEL:
        return BoostedClassifier.of(texts, np.arange(len(texts)), width, is_multi_label=True)
    return BoostedClassifier.of(texts, prepared.classes, width)


def _objectives(problem: Problem) -> tuple[Parameter, ...]:
    if problem.kind.has_classes:
        return class_weight_parameters(problem)
    if problem.kind is not ProblemKind.REGRESSION:
        return ()
    names: tuple[str, ...] = ("l2", "l1", "huber")
    if problem.level is not None:
        names = (_QUANTILE, *names)
    if has_long_tail(problem):
        names = (*names, "log_l2")
    # LightGBM refuses linear leaves for absolute errors and quantiles.
    squared = Condition("objective", tuple(each for each in names if each in ("l2", "log_l2")))
    return (
        Choice("objective", names, names[0]),
        Choice("linear_tree", (False, True), False, when=squared),
    )


def _settings(
    problem: Problem, prepared: PreparedFold, configuration: Configuration, seed: int
) -> dict[str, Any]:
    """Returns LightGBM's own settings."""
    width = "force_col_wise" if prepared.width > _WIDE else "force_row_wise"
    settings: dict[str, Any] = {
        name: configuration[name]
        for name in (*_PASSED, "linear_tree", *(each.name for each in _SETS[1:]))
        if name in configuration
    }
    settings |= {"objective": "binary", "bagging_freq": 1, "seed": seed, width: True}
    settings |= {"num_threads": 1, "verbosity": -1, "deterministic": True}
    if problem.kind is ProblemKind.REGRESSION:
        objective = str(configuration["objective"])
        settings["objective"] = "l2" if objective == "log_l2" else objective
        if objective == _QUANTILE:
            settings["alpha"] = problem.level
    elif len(prepared.classes) > 2:
        settings |= {"objective": "multiclass", "num_class": len(prepared.classes)}
    return settings


def _split_into_sets(problem: Problem, configuration: Configuration) -> list[int]:
    """Returns the columns that are split into sets of categories."""
    if configuration.get("category_splits") != "sets":
        return []
    return category_positions(problem, configuration)


def _most_rounds(prepared: PreparedFold, configuration: Configuration) -> int:
    if prepared.is_watched:
        return MOST_ROUNDS
    return int(configuration.get(ROUNDS, _usual_rounds(configuration)))


def _usual_rounds(configuration: Configuration) -> int:
    return min(round(_USUAL_PROGRESS / float(configuration["learning_rate"])), MOST_ROUNDS)
