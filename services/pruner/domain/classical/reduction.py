"""Which estimators can be made smaller, and how."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from services.pruner.domain.classical.linear import sparse_models
from services.pruner.domain.classical.neighbours import prototypes
from services.pruner.domain.classical.rows import Reduced, Rows, differing
from services.pruner.domain.classical.single_trees import smaller_trees
from services.pruner.domain.classical.tree_sums import smaller_sums
from services.pruner.domain.classical.vectors import reduced_vectors

__all__ = ["Reduced", "Rows", "can_reduce", "reductions"]

# Of fewer rows there is no standard error.
_FEWEST = 2

Way = Callable[[Any, Rows, Rows, int, Callable[[], None]], Iterator[Reduced]]

_LINEAR = (
    "LogisticRegression",
    "LogisticRegressionCV",
    "LinearRegression",
    "Ridge",
    "RidgeClassifier",
    "Lasso",
    "ElasticNet",
    "SGDClassifier",
    "SGDRegressor",
    "LinearSVC",
    "LinearSVR",
    "Perceptron",
)
_SUMS = ("RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting", "LGBM")


def _of_both(stems: tuple[str, ...], way: Way) -> dict[str, Way]:
    return {f"{stem}{kind}": way for stem in stems for kind in ("Classifier", "Regressor")}


_WAYS: dict[str, Way] = {
    **dict.fromkeys(_LINEAR, sparse_models),
    **_of_both(_SUMS, smaller_sums),
    **_of_both(("DecisionTree", "ExtraTree"), smaller_trees),
    **_of_both(("KNeighbors",), prototypes),
    **dict.fromkeys(("SVC", "SVR"), reduced_vectors),
}


def can_reduce(estimator: Any) -> bool:
    """Returns whether a fitted estimator is of a type that is known and has one output."""
    module = type(estimator).__module__.partition(".")[0]
    is_known = module in ("sklearn", "lightgbm") and type(estimator).__name__ in _WAYS
    return is_known and _has_one_output(estimator) and _is_plain(estimator)


def reductions(
    estimator: Any, learned: Rows, held_out: Rows, seed: int, check: Callable[[], None]
) -> Iterator[Reduced]:
    """Yields smaller estimators of the same class, from careful to bold.

    Nothing comes where the type is not known, or nothing smaller is good enough on held-out rows.

    Args:
        estimator: Fitted; it stays as it is.
        learned: Rows that it learned from, with numbers in all columns.
        held_out: Rows that it did not learn from.
        seed: Of what is drawn.
        check: Raises to stop.
    """
    if can_reduce(estimator) and len(held_out) >= _FEWEST:
        way = _WAYS[type(estimator).__name__]
        yield from differing(way(estimator, learned, held_out, seed, check))


def _has_one_output(estimator: Any) -> bool:
    if isinstance(getattr(estimator, "classes_", None), list):
        return False
    if getattr(estimator, "n_outputs_", 1) != 1 or getattr(estimator, "outputs_2d_", False):
        return False
    return hasattr(estimator, "classes_") or np.ndim(getattr(estimator, "coef_", 0)) < 2


def _is_plain(estimator: Any) -> bool:
    """Returns whether it is of none of the rarer kinds that work in other ways."""
    if type(estimator).__name__ in ("SVC", "SVR"):
        return isinstance(estimator.kernel, str) and not (
            estimator.kernel == "precomputed" or estimator._sparse
        )
    if type(estimator).__name__.startswith("LGBM"):
        options = estimator.get_params()
        return options["boosting_type"] == "gbdt" and not options.get("linear_tree")
    return getattr(estimator, "metric", "") != "precomputed"
