"""Perceptrons for tables: small networks that share weights and are averaged."""

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from common.models.estimators.perceptron import PerceptronClassifier, PerceptronRegressor
from services.tuner.domain.families.boosting import (
    PreparedFold,
    has_long_tail,
    prepared_fold,
    prior,
)
from services.tuner.domain.families.family import Fitted, Fold, TimeLeft
from services.tuner.domain.families.perceptron_learning import Learned, learned
from services.tuner.domain.families.perceptron_plan import Goal, Plan
from services.tuner.domain.families.shared import (
    ALL_KINDS,
    class_weight_parameters,
    matrix_width,
    quiet,
)
from services.tuner.domain.families.targets import TargetScale
from services.tuner.domain.preparation.preparing import Wanted, preparation_parameters
from services.tuner.domain.problem import Problem, ProblemKind, Truth
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Float, Integer, Parameter
from services.tuner.domain.space.space import Space, joined

EPOCHS = "epochs"
"""The setting that says after how many passes to end where no rows are watched."""

_EPOCHS = (15, 150)
_BATCHES = (32, 256)
_STEPS_OF_AN_EPOCH = 20
_PATIENCE = 0.3
_MOST_COLUMNS = 20_000
_MOST_PIECED = 200
_SECONDS_PER_PRODUCT = 2e-10
_SECONDS_PER_STEP = 5e-4
_ROOM = 0.25
"""How far beyond the range of what was learned values may be, as a share of it."""
_KEPT_SHARE = 0.03
"""Of the time, for what comes after learning."""

_PARAMETERS: tuple[Parameter, ...] = (
    Float("learning_rate", 3e-4, 2e-2, 3e-3, is_log=True),
    Float("weight_decay", 1e-4, 1.0, 0.03, is_log=True),
    Float("dropout", 0.0, 0.5, 0.1),
    Integer("layers", 1, 4, 2),
    Integer("width", 32, 384, 128, is_log=True),
    Integer("members", 1, 16, 8, is_log=True),
    Choice("activation", ("relu", "silu"), "silu"),
    Integer("steps", 500, 8000, 1500, is_log=True),
)


class Perceptron:
    """Networks of a few layers, learned together: good on tables, and unlike trees."""

    name = "perceptron"
    kinds = ALL_KINDS

    def fits(self, problem: Problem) -> str:
        """Returns that a table is too wide."""
        if matrix_width(problem) > _MOST_COLUMNS:
            return f"It takes at most {_MOST_COLUMNS} columns."
        return ""

    def space(self, problem: Problem) -> Space:
        """Returns size, regularisation, and in how many pieces numbers are encoded."""
        own = _PARAMETERS
        if matrix_width(problem) <= _MOST_PIECED:
            own = (*own, Choice("pieces", (0, 8, 16, 32), 0))
        if has_long_tail(problem):
            own = (*own, Choice("target", ("plain", "log"), "plain"))
        if problem.kind.has_classes:
            own = (*own, *class_weight_parameters(problem))
        return joined(own, preparation_parameters(problem, Wanted.MATRIX))

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """Returns the time of all passes."""
        rows = problem.row_count
        width, layers = int(configuration["width"]), int(configuration["layers"])
        inputs = matrix_width(problem) + int(configuration.get("pieces", 0)) * len(problem.columns)
        products = inputs * width + (layers - 1) * width**2 + width * len(problem.outputs)
        a_row = products * int(configuration["members"]) * _SECONDS_PER_PRODUCT
        steps = rows / _batch(rows)
        return float(_epochs(rows, configuration) * (rows * a_row + steps * _SECONDS_PER_STEP))

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """See `Family.fit`."""
        with quiet(), threadpool_limits(1, "blas"):
            prepared = prepared_fold(problem, fold, configuration, Wanted.MATRIX, seed)
            if len(prepared.classes) == 1:
                return Fitted(prepared.pipeline(prior(prepared.truth)), {EPOCHS: 1})
            scale = TargetScale.of(problem, prepared.truth, configuration.get("target") == "log")
            goal = _goal(problem, prepared, scale, prepared.truth, prepared.weights)
            watched = None
            if prepared.watched_truth is not None:
                watched = (
                    prepared.watched,
                    _goal(problem, prepared, scale, prepared.watched_truth),
                )
            seconds = time_left() * (1 - _KEPT_SHARE)
            plan = _plan(configuration, prepared, seed)
            found = learned(prepared.train, goal, plan, seconds, watched)
        model = _estimator(problem, prepared, scale, found, goal)
        return Fitted(prepared.pipeline(model), {EPOCHS: found.epochs}, found.is_cut_short)


def _goal(
    problem: Problem,
    prepared: PreparedFold,
    scale: TargetScale,
    truth: Truth,
    weights: Any = None,
) -> Goal:
    """Returns what outputs are to be."""
    if weights is not None:
        weights = (weights / weights.mean()).astype(np.float32)
    if problem.kind is ProblemKind.MULTI_LABEL:
        return Goal("labels", truth.astype(np.float32), weights)
    if problem.kind is ProblemKind.REGRESSION:
        wanted = scale.scaled(truth).astype(np.float32)[:, None]
        return Goal("values", wanted, weights, problem.level)
    positions = np.searchsorted(prepared.classes, truth)
    return Goal("classes", np.eye(len(prepared.classes), dtype=np.float32)[positions], weights)


def _estimator(
    problem: Problem, prepared: PreparedFold, scale: TargetScale, found: Learned, goal: Goal
) -> PerceptronClassifier | PerceptronRegressor:
    width = prepared.width
    if problem.kind is ProblemKind.REGRESSION:
        low, high = float(goal.wanted.min()), float(goal.wanted.max())
        room = _ROOM * (high - low)
        of_target = (scale.center, scale.scale, scale.is_log)
        return PerceptronRegressor.of(found.network, width, of_target, (low - room, high + room))
    if problem.kind is ProblemKind.MULTI_LABEL:
        labels = np.arange(len(problem.outputs))
        return PerceptronClassifier.of(found.network, labels, width, is_multi_label=True)
    return PerceptronClassifier.of(found.network, prepared.classes, width)


def _plan(configuration: Configuration, prepared: PreparedFold, seed: int) -> Plan:
    rows = prepared.train.shape[0]
    epochs = _epochs(rows, configuration)
    last = epochs if prepared.is_watched else int(configuration.get(EPOCHS, epochs))
    return Plan(
        members=int(configuration["members"]),
        layers=int(configuration["layers"]),
        width=int(configuration["width"]),
        activation=str(configuration["activation"]),
        pieces=int(configuration.get("pieces", 0)),
        learning_rate=float(configuration["learning_rate"]),
        weight_decay=float(configuration["weight_decay"]),
        dropout=float(configuration["dropout"]),
        batch=_batch(rows),
        epochs=epochs,
        last=last,
        patience=max(round(_PATIENCE * epochs), 10),
        seed=seed,
    )


def _batch(rows: int) -> int:
    low, high = _BATCHES
    return min(max(rows // _STEPS_OF_AN_EPOCH, low), high)


def _epochs(rows: int, configuration: Configuration) -> int:
    low, high = _EPOCHS
    return min(max(int(configuration["steps"]) * _batch(rows) // max(rows, 1), low), high)
