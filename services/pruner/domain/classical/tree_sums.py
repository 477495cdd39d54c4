"""Forests and boosted trees with fewer nodes."""

from collections.abc import Callable, Iterator
from typing import Any

from services.pruner.domain.classical.boosting import GradientSum, HistogramSum
from services.pruner.domain.classical.forests import ForestSum
from services.pruner.domain.classical.lightgbm_trees import LightSum
from services.pruner.domain.classical.rows import Reduced, Rows
from services.pruner.domain.trees.risk import Risk
from services.pruner.domain.trees.shrinking import TreeSum, shrunk


def sum_of(estimator: Any) -> TreeSum:
    """Returns an estimator of a known type as a sum of trees."""
    name = type(estimator).__name__
    if name.startswith("LGBM"):
        return LightSum(estimator)
    if name.startswith("HistGradient"):
        return HistogramSum(estimator)
    return GradientSum(estimator) if name.startswith("Gradient") else ForestSum(estimator)


def smaller_sums(
    estimator: Any, learned: Rows, held_out: Rows, seed: int, check: Callable[[], None]
) -> Iterator[Reduced]:
    """Yields estimators with fewer and smaller trees, whose nodes answer anew."""
    model = sum_of(estimator)
    before = sum(len(each.left) for each in model.trees)
    classes = getattr(estimator, "classes_", None)
    for each in shrunk(model, classes, learned, held_out, seed, check):
        note = (
            f"{len(each.trees)} of {len(model.trees)} trees are left with {each.nodes} of {before} "
            f"nodes, fitted again to the original's answers. {_told(each.risk, classes)}"
        )
        yield Reduced("refitted_trees", model.rebuilt(each.trees), each.nodes, before, (note,))


def _told(risk: Risk, classes: Any) -> str:
    """Returns what may be lost in a sentence."""
    loss = f"the loss on held-out rows may rise by {max(risk.loss, 0):.1%}"
    if classes is None:
        return f"With one standard error, {loss}."
    return f"With one standard error, {loss}, and {max(risk.accuracy, 0):.2%} may become wrong."
