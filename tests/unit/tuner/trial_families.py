"""Families that misbehave, and a metric, for the host of trials."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from common.scoring.metric import Needs
from services.tuner.domain.families.family import Fitted, Fold, TimeLeft
from services.tuner.domain.problem import Outputs, Problem, ProblemKind, Truth
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.space import Space

MEBIBYTE = 1 << 20
Fit = Callable[[Problem, Fold, Configuration, TimeLeft], Any]


@dataclass(frozen=True)
class TestFamily:
    """A family that fits in some way."""

    name: str
    learn: Fit
    kinds: frozenset[ProblemKind] = frozenset({ProblemKind.BINARY})

    def fits(self, problem: Problem) -> str:
        return ""

    def space(self, problem: Problem) -> Space:
        return Space(())

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        estimator = self.learn(problem, fold, configuration, time_left)
        settings = {
            "rows": len(fold.truth),
            "columns": fold.features.shape[1],
            "seed": seed,
            "is_new": getattr(estimator, "is_new_", False),
        }
        return Fitted(estimator, settings, time_left() < 0)


@dataclass(frozen=True)
class ErrorRate:
    """Share of wrong decisions."""

    name: str = "error_rate"
    kinds: frozenset[ProblemKind] = frozenset({ProblemKind.BINARY})
    needs: Needs = Needs.DECISIONS

    def loss(
        self, truth: Truth, outputs: Outputs, weights: npt.NDArray[np.float64] | None = None
    ) -> float:
        return float(np.average(outputs.argmax(axis=1) != truth, weights=weights))

    def shown(self, loss: float) -> float:
        return 1 - loss


class NotFinite(DummyClassifier):  # type: ignore[misc]  # it has no types
    """Predicts NaN."""

    def predict_proba(self, features: Any) -> npt.NDArray[np.float64]:
        return np.full((len(features), 2), np.nan)


def _bayes(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    numbers = ColumnTransformer([("kept", "passthrough", ["a", "c"])])
    return make_pipeline(numbers, GaussianNB()).fit(fold.features, fold.truth)


def _prior(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    return DummyClassifier().fit(fold.features, fold.truth)


def _not_finite(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    return NotFinite().fit(fold.features, fold.truth)


def _sleep(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    time.sleep(3600)


def _patient(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    while left() > 0:
        time.sleep(0.005)
    return _prior(problem, fold, configuration, left)


def _grow(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    """Takes 2 GiB bit by bit."""
    held = [np.ones(10 * MEBIBYTE, np.uint8) for _ in range(200)]
    time.sleep(len(held))


def _seize(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    """Takes 2 GiB at once."""
    np.ones(2048 * MEBIBYTE, np.uint8)


def _take(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    """Takes 100 MiB for a moment only."""
    np.ones(100 * MEBIBYTE, np.uint8)
    return _prior(problem, fold, configuration, left)


def _die(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    os.kill(os.getpid(), int(configuration["signal"]))


def _crash(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    ctypes.string_at(0)


def _leave(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    os._exit(int(configuration["code"]))


def _refuse(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    raise ValueError("cannot read 'Ann Smith' of /data/people.csv\nsecond line")


def _start(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    """Starts a process that outlives the trial if nobody ends it."""
    child = os.fork()
    if not child:
        time.sleep(3600)
        os._exit(0)
    estimator = _prior(problem, fold, configuration, left)
    estimator.child_ = child
    return estimator


def _import(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
    estimator = _prior(problem, fold, configuration, left)
    estimator.is_new_ = "wave" not in sys.modules
    import_module("wave")
    return estimator


_ALL: dict[str, Fit] = {
    "bayes": _bayes,
    "crash": _crash,
    "die": _die,
    "grow": _grow,
    "import": _import,
    "leave": _leave,
    "not_finite": _not_finite,
    "patient": _patient,
    "prior": _prior,
    "refuse": _refuse,
    "seize": _seize,
    "sleep": _sleep,
    "start": _start,
    "take": _take,
}
FAMILIES = {name: TestFamily(name, learn) for name, learn in _ALL.items()}
