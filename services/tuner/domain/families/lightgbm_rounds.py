"""Rounds of LightGBM: one booster, stopped by watched rows or by time, cut to its best round."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from lightgbm.callback import CallbackEnv, EarlyStopException

from common.models.estimators.boosted import packed
from services.tuner.domain.families.boosting import PreparedFold
from services.tuner.domain.problem import Truth

MOST_ROUNDS = 5000
_PATIENCE = 3.0
"""Rounds times learning rate without progress, after which learning ends."""
_PATIENCE_BOUNDS = (20, 300)
_PATIENCE_SHARE = 0.25
"""Share of the best round that patience grows by."""
_PROGRESS = 1e-3
"""Share by which the loss falls at least for that to be progress."""
_KEEPING_SECONDS = 1e-4
"""Time for writing a tree out and reading it again."""


@dataclass(frozen=True)
class Boosted:
    """A booster that was learned.

    Attributes:
        text: See `packed`.
        rounds: How many it has.
        is_cut_short: Whether time ended before it was done.
    """

    text: npt.NDArray[np.uint8]
    rounds: int
    is_cut_short: bool


@dataclass(frozen=True)
class Rounds:
    """Learns boosters from the same numbers, which are put into bins once.

    Attributes:
        settings: Of LightGBM.
        train: Numbers to learn from.
        watched: Numbers that tell when to stop; None for none.
        most: Rounds that are learned at most.
    """

    settings: Mapping[str, Any]
    train: lightgbm.Dataset
    watched: lightgbm.Dataset | None
    most: int

    @classmethod
    def of(
        cls, fold: PreparedFold, settings: Mapping[str, Any], categories: Sequence[int], most: int
    ) -> "Rounds":
        """Puts numbers into bins.

        Args:
            fold: The numbers.
            settings: Of LightGBM.
            categories: Positions of the columns that are split into sets of categories.
            most: Rounds that are learned at most.
        """
        # LightGBM compares these of both sets with what they were made with.
        alike: dict[str, Any] = {"categorical_feature": list(categories), "params": dict(settings)}
        train = lightgbm.Dataset(fold.train, weight=fold.weights, **alike).construct()
        watched = None
        if fold.is_watched:
            watched = lightgbm.Dataset(fold.watched, reference=train, **alike).construct()
        return cls(settings, train, watched, most)

    def booster(self, truth: Truth, watched_truth: Truth | None, seconds: float) -> Boosted:
        """Learns one booster within a time."""
        self.train.set_label(truth)
        sets = []
        if self.watched is not None and watched_truth is not None:
            sets = [self.watched.set_label(watched_truth)]
        trees = int(self.settings.get("num_class", 1))
        stop = _Stop(float(self.settings["learning_rate"]), seconds, trees)
        booster = lightgbm.train(
            dict(self.settings),
            self.train,
            self.most,
            sets,
            callbacks=[stop],
            keep_training_booster=True,
        )
        rounds = stop.best_round if sets else booster.current_iteration()
        return Boosted(packed(booster, rounds), rounds, stop.is_cut_short)


class _Stop:
    """Ends learning where the watched loss is past its best, or time is up.

    Patience grows with rounds, as in AutoGluon (Erickson et al. 2020); what is too small to matter
    is no progress.
    """

    order = 30
    before_iteration = False

    def __init__(self, learning_rate: float, seconds: float, trees_per_round: int) -> None:
        low, high = _PATIENCE_BOUNDS
        self._patience = min(max(_PATIENCE / learning_rate, low), high)
        self._begin = time.monotonic()
        self._seconds = seconds
        self._keeping = trees_per_round * _KEEPING_SECONDS
        self._best = self._passed = np.inf
        self._progress_round = 0
        self.best_round = 1
        self.is_cut_short = False

    def __call__(self, env: CallbackEnv) -> None:
        done = env.iteration + 1
        results = env.evaluation_result_list
        is_past = self._is_past(results[0][2], done) if results else False
        self.is_cut_short = not is_past and done < env.end_iteration and self._is_late(done)
        if is_past or self.is_cut_short:
            raise EarlyStopException(env.iteration, [])

    def _is_past(self, loss: float, done: int) -> bool:
        if loss < self._best:
            self._best, self.best_round = loss, done
        if loss < self._passed * (1 - _PROGRESS):
            self._passed, self._progress_round = loss, done
        patience = self._patience + _PATIENCE_SHARE * self.best_round
        return done - self._progress_round > patience

    def _is_late(self, done: int) -> bool:
        passed = time.monotonic() - self._begin
        return passed * (1 + 1 / done) + self._keeping * done > self._seconds
