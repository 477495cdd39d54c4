"""The family of boosted trees over lags, one model for all series."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np
from lightgbm.callback import CallbackEnv, EarlyStopException

from common.models.estimators.boosted import BoostedRegressor, packed
from common.models.estimators.forecasting.boosted_lags import BoostedLags
from common.models.estimators.forecasting.columns import CATEGORY
from common.models.estimators.forecasting.grid import Floats
from common.models.estimators.forecasting.history import History
from common.models.estimators.forecasting.lag_table import LagTable
from common.models.estimators.forecasting.member import Member
from services.tuner.domain.families.family import OutOfTimeError
from services.tuner.domain.forecasting.families.classical import IS_LOG, is_positive
from services.tuner.domain.forecasting.families.family import ForecastFamily, Lesson, panel_of
from services.tuner.domain.forecasting.panel import Panel
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Float, Integer, Parameter
from services.tuner.domain.space.space import Space

_MOST_ROWS, _LEAST_ROWS = 30_000, 20
_TRIES = 3.0
_FAR, _NEAR, _SEASON = "horizon", "step", "season"
_KEPT_SHARE = 0.15
_CLIP = 12.0


@dataclass(frozen=True)
class BoostedFamily(ForecastFamily):
    """LightGBM."""

    @property
    def is_global(self) -> bool:
        """See `ForecastFamily.is_global`."""
        return True

    def space(self, problem: Problem) -> Space:
        """See `Family.space`."""
        panel = panel_of(problem)
        parameters: list[Parameter] = [
            Integer("lags", 2, 48, 8, is_log=True),
            Integer("rounds", 30, 800, 150, is_log=True),
            Float("learning_rate", 0.01, 0.3, 0.06, is_log=True),
            Integer("leaves", 4, 128, 16, is_log=True),
            Integer("least_in_leaf", 3, 100, 20, is_log=True),
            Choice("objective", ("l1", "l2"), "l1"),
            Choice("block", _blocks(panel), _FAR),
        ]
        if panel.season_lengths:
            parameters += [
                Integer("cycles", 1, 6, 3),
                Choice("from_season", (True, False), False),
            ]
        if is_positive(panel):
            parameters.append(Choice(IS_LOG, (False, True), False))
        return Space(tuple(parameters))

    def learned(self, lesson: Lesson, configuration: Configuration) -> Member:
        """See `ForecastFamily.learned`."""
        panel = lesson.panel
        block = _block(panel, str(configuration["block"]))
        is_log = bool(configuration.get(IS_LOG))
        table = _table(panel, configuration)
        histories = [_seen(each, is_log) for each in lesson.histories]
        rows, truth = _sampled(table, histories, block, lesson)
        booster, rounds = _grown(rows, truth, configuration, lesson, _categories(panel, rows))
        trees = BoostedRegressor.of(packed(booster, rounds), rows.shape[1], 0.0, 1.0, False)
        return BoostedLags(table, trees, block, is_log)


def _blocks(panel: Panel) -> tuple[str, ...]:
    between = 1 < panel.season < panel.horizon
    return (_FAR, _NEAR, _SEASON) if between else (_FAR, _NEAR)


def _block(panel: Panel, name: str) -> int:
    return {_FAR: panel.horizon, _NEAR: 1, _SEASON: panel.season}[name]


def _table(panel: Panel, configuration: Configuration) -> LagTable:
    covariates = list(enumerate(panel.names.covariates))
    return LagTable(
        panel.grid,
        panel.season_lengths,
        int(configuration["lags"]),
        int(configuration.get("cycles", 0)),
        bool(configuration.get("from_season", False)),
        tuple(place for place, each in covariates if each.is_known),
        tuple(place for place, each in covariates if not each.is_known),
    )


def _categories(panel: Panel, rows: Floats) -> list[int]:
    """Returns which columns of the rows are categories; covariates are the last ones."""
    table = panel.names.covariates
    order = [each for each in table if each.is_known] + [
        each for each in table if not each.is_known
    ]
    first = rows.shape[1] - len(order)
    return [first + place for place, each in enumerate(order) if each.kind == CATEGORY]


def _seen(history: History, is_log: bool) -> History:
    if not is_log or history.values.min() <= 0:
        return history
    return replace(history, values=np.log(history.values))


def _sampled(
    table: LagTable, histories: Sequence[History], block: int, lesson: Lesson
) -> tuple[Floats, Floats]:
    """Returns rows and what is to be told of them, from all series alike.

    Raises:
        OutOfTimeError: There was no time to make them.
        ValueError: The series are too short.
    """
    generator = np.random.default_rng(lesson.seed)
    each_count = max(_MOST_ROWS // len(histories), 1)
    rows, truths = [], []
    for history in histories:
        lesson.check()
        origins, ahead = _pairs(table, len(history.values), block, each_count, generator)
        if not len(origins):
            continue
        level, size = table.frame_of(history.values, origins, ahead)
        rows.append(table.rows(history, origins, ahead))
        truths.append((history.values[origins + ahead] - level) / size)
    if sum(map(len, truths)) < _LEAST_ROWS:
        raise ValueError("The series are too short for lags.")
    return np.vstack(rows), np.clip(np.concatenate(truths), -_CLIP, _CLIP)


def _pairs(
    table: LagTable, length: int, block: int, count: int, generator: np.random.Generator
) -> tuple[Any, Any]:
    """Returns origins and steps ahead, at most so many, drawn where there are more."""
    first = min(max(table.season, 3), length // 2)
    if length - first < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if (length - first) * block <= _TRIES * count:
        origins = np.repeat(np.arange(first, length - 1), block)
        ahead = np.tile(np.arange(1, block + 1), length - 1 - first)
    else:
        origins = generator.integers(first, length - 1, round(_TRIES * count))
        ahead = generator.integers(1, block + 1, len(origins))
    inside = np.flatnonzero(origins + ahead < length)
    if len(inside) > count:
        inside = np.sort(generator.permutation(inside)[:count])
    return origins[inside], ahead[inside]


def _grown(
    rows: Floats,
    truth: Floats,
    configuration: Configuration,
    lesson: Lesson,
    categories: list[int],
) -> tuple[lightgbm.Booster, int]:
    settings = {
        "objective": str(configuration["objective"]),
        "learning_rate": float(configuration["learning_rate"]),
        "num_leaves": int(configuration["leaves"]),
        "min_data_in_leaf": int(configuration["least_in_leaf"]),
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "num_threads": 1,
        "seed": lesson.seed & 0x7FFFFFFF,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    kept = _KEPT_SHARE * lesson.time_left()

    def stop(environment: CallbackEnv) -> None:
        if lesson.time_left() < kept:
            raise EarlyStopException(environment.iteration, [])

    data = lightgbm.Dataset(rows, truth, categorical_feature=categories, free_raw_data=True)
    booster = lightgbm.train(settings, data, int(configuration["rounds"]), callbacks=[stop])
    rounds = booster.current_iteration()
    if not rounds:
        raise OutOfTimeError("There was no time for a single tree.")
    return booster, rounds
