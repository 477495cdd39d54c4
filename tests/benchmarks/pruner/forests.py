"""How many nodes of forests and boosted trees are needed, beside their first trees.

Alone it is `python -m tests.benchmarks.pruner.forests`; `AIMASS_BENCH_DATA` names the folder of the
sets, which are those with most test rows: where there are few, one row is more than the aim.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.base import is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from services.pruner.domain.classical.reduction import Rows, reductions
from services.pruner.domain.classical.rows import losses_of
from services.pruner.domain.classical.tree_sums import sum_of
from services.pruner.domain.trees.refitting import Refitted
from tests.benchmarks.harness import Aim, Measure, is_quick, publish, say
from tests.benchmarks.tuner.table_sets import folder_of_sets

_SETS = ("digits", "phoneme", "mammography", "hypothyroid", "letter", "adult")
_VALUE_SETS = ("kin8nm", "abalone", "diamonds")
_BUILT_IN: dict[str, Any] = {
    "digits": load_digits,
    "breast_cancer": load_breast_cancer,
    "wine": load_wine,
    "iris": load_iris,
    "diabetes": load_diabetes,
}
_OF_CLASSES, _OF_VALUES = ("breast_cancer", "wine", "iris"), ("diabetes",)
"""Where there is no folder."""
_TRAIN_SHARE, _FITTED_SHARE = 0.67, 0.75
_MOST_FITTED, _MOST_HELD_OUT = 6_000, 2_000
_PATIENCE = 1.02

NOTES = (
    "Sets are split 67/33, of the first part 75/25 into rows learned and held out; test rows "
    "choose nothing. Ours is the most careful of what is offered.",
    "Theirs are the fewest first trees or rounds of which the Brier score on held-out rows is at "
    "most 1.02 times the original's.",
)

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class _Found:
    """How much smaller, and how many points of accuracy, or R2, on test rows are won."""

    times: float
    points: float


@dataclass(frozen=True)
class _Set:
    name: str
    learned: Rows
    held_out: Rows
    test: Rows


def forests() -> list[Measure]:
    """Measures forests of 500 trees and boosting of 300 rounds."""
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    count, rounds = (50, 30) if is_quick() else (500, 300)
    kinds: list[tuple[str, Callable[[int], Any], float]] = [
        (
            f"forest of {count} trees",
            lambda seed: RandomForestClassifier(count, random_state=seed),
            10,
        ),
        (
            f"histogram boosting of {rounds} rounds",
            lambda seed: HistGradientBoostingClassifier(
                max_iter=rounds, early_stopping=False, random_state=seed
            ),
            3,
        ),
        (
            f"LightGBM of {rounds} rounds",
            lambda seed: LGBMClassifier(
                n_estimators=rounds, random_state=seed, verbose=-1, n_jobs=1
            ),
            3,
        ),
        (
            f"forest of {count} trees, values",
            lambda seed: RandomForestRegressor(count, random_state=seed),
            10,
        ),
        (
            f"histogram boosting of {rounds} rounds, values",
            lambda seed: HistGradientBoostingRegressor(
                max_iter=rounds, early_stopping=False, random_state=seed
            ),
            3,
        ),
    ]
    return [measure for kind in kinds for measure in _measured(*kind)]


def _measured(kind: str, made: Callable[[int], Any], aim: float) -> Iterator[Measure]:
    ours, theirs = [], []
    for seed in range(1 if is_quick() else 2):
        for each in _sets(seed, has_values=is_regressor(made(seed))):
            model = made(seed).fit(each.learned.features, each.learned.truth)
            start = time.monotonic()
            ours.append(_ours(model, each, seed))
            took = time.monotonic() - start
            theirs.append(_first(model, each))
            say(f"  {kind}, {each.name}, seed {seed}: {ours[-1]}, first {theirs[-1]}, {took:.0f} s")
    own, other = (np.array([(one.times, one.points) for one in some]) for some in (ours, theirs))
    yield Measure.of(
        f"{kind}: times fewer nodes, mean", *_both(own, other, 0, np.mean), Aim(at_least=aim)
    )
    yield Measure.of(
        f"{kind}: points won on test, mean",
        *_both(own, other, 1, np.mean),
        Aim(at_least=-0.1),
    )
    yield Measure.of(
        f"{kind}: points won on test, worst", *_both(own, other, 1, np.min), Aim(at_least=-0.3)
    )


def _both(
    ours: Values, theirs: Values, column: int, of_all: Callable[[Values], Any]
) -> tuple[float, float]:
    return float(of_all(ours[:, column])), float(of_all(theirs[:, column]))


def _ours(model: Any, each: _Set, seed: int) -> _Found:
    for found in reductions(model, each.learned, each.held_out, seed, lambda: None):
        return _found(model, found.estimator, found.before / found.size, each)
    return _Found(1.0, 0.0)


def _first(model: Any, each: _Set) -> _Found:
    whole = sum_of(model)
    trees = [Refitted(one.values, np.arange(len(one.left))) for one in whole.trees]
    full = losses_of(model, each.held_out).mean()
    rounds = len(trees) // whole.per_round
    for count in sorted({max(1, round(share * rounds)) for share in np.linspace(0, 1, 26)}):
        smaller = whole.rebuilt(trees[: count * whole.per_round])
        if losses_of(smaller, each.held_out).mean() <= _PATIENCE * full:
            left = sum(len(one.values) for one in trees[: count * whole.per_round])
            return _found(model, smaller, sum(len(one.values) for one in trees) / left, each)
    return _Found(1.0, 0.0)


def _found(model: Any, smaller: Any, times: float, each: _Set) -> _Found:
    before, after = (one.score(each.test.features, each.test.truth) for one in (model, smaller))
    return _Found(float(times), float(100 * (after - before)))


def _sets(seed: int, *, has_values: bool) -> Iterator[_Set]:
    folder = folder_of_sets()
    wanted, others = (_VALUE_SETS, _OF_VALUES) if has_values else (_SETS, _OF_CLASSES)
    names = [name for name in wanted if (folder / f"{name}.parquet").exists()]
    names += [name for name in wanted if name in _BUILT_IN]
    for name in names[:2] if is_quick() else [*names, *(() if len(names) > 1 else others)]:
        features, truth = (
            _BUILT_IN[name](return_X_y=True) if name in _BUILT_IN else _table(name, has_values)
        )
        groups = np.zeros(len(truth)) if has_values else truth
        train = _drawn(groups, seed, _TRAIN_SHARE)
        fitted = np.zeros(len(truth), bool)
        fitted[train] = _drawn(groups[train], seed, _FITTED_SHARE)
        yield _Set(
            name,
            _some(features, truth, fitted, _MOST_FITTED, seed),
            _some(features, truth, train & ~fitted, _MOST_HELD_OUT, seed),
            Rows(features[~train], truth[~train]),
        )


def _table(name: str, has_values: bool) -> tuple[Values, Values]:
    table = pd.read_parquet(folder_of_sets() / f"{name}.parquet")
    target = table.pop("target")
    truth = (
        target.to_numpy(np.float64)
        if has_values
        else np.unique(target.astype(str), return_inverse=True)[1]
    )
    numbers = table.apply(
        lambda one: one if one.dtype.kind in "fi" else pd.factorize(one, sort=True)[0]
    )
    return np.nan_to_num(numbers.to_numpy(np.float32), nan=-1), truth


def _drawn(truth: Values, seed: int, share: float) -> npt.NDArray[np.bool_]:
    """Returns a share of each class, as the sets' README has it."""
    generator, drawn = np.random.RandomState(seed), np.zeros(len(truth), bool)
    for group in np.unique(truth):
        rows = np.flatnonzero(truth == group)
        drawn[generator.permutation(rows)[: max(1, round(share * len(rows)))]] = True
    return drawn


def _some(features: Values, truth: Values, mask: Values, most: int, seed: int) -> Rows:
    places = np.flatnonzero(mask)
    if len(places) > most:
        places = places[np.random.RandomState(seed).permutation(len(places))[:most]]
    return Rows(features[places], truth[places])


if __name__ == "__main__":
    publish("pruner_forests", forests(), NOTES)
