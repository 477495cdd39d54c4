"""Trees of scikit-learn's ensembles as arrays. Imports scikit-learn."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from services.analyzer.domain.models.model import Outputs

_HISTOGRAMS = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
_BOOSTED = (GradientBoostingClassifier, GradientBoostingRegressor)
_FORESTS = (
    *(RandomForestClassifier, RandomForestRegressor),
    *(ExtraTreesClassifier, ExtraTreesRegressor),
)
_TREES = (
    *(DecisionTreeClassifier, DecisionTreeRegressor),
    *(ExtraTreeClassifier, ExtraTreeRegressor),
)
LEAF = -1
NODE = np.dtype(
    [
        ("threshold", np.float64),
        ("feature", np.int32),
        ("left", np.int32),
        ("right", np.int32),
        ("missing_left", np.int32),
    ]
)


@dataclass(frozen=True)
class Forest:
    """Trees whose values are added up.

    Attributes:
        nodes: Of all trees, one after another; a leaf's feature is -1. A value goes left if it is
            at most the threshold.
        values: Of the nodes, (nodes, width); only those of leaves count.
        roots: First node of each tree.
        targets: The first of the outputs that a tree's values are added to.
        start: What is there before the first tree, (outputs,).
        precision: Values are rounded to this type before they are compared.
        finished: Turns sums into what the model gives: probabilities, or values as one column.
    """

    nodes: npt.NDArray[np.void]
    values: npt.NDArray[np.float64]
    roots: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int32]
    start: npt.NDArray[np.float64]
    precision: type[np.floating[Any]]
    finished: Callable[[Outputs], Outputs]


def forest_of(estimator: Any) -> Forest | None:
    """Returns the trees of a fitted estimator of one target; None where it is not made of such.

    Splits by sets of categories are not known here.
    """
    if getattr(estimator, "n_outputs_", 1) != 1:
        return None
    kind = type(estimator)
    if kind in _HISTOGRAMS:
        return _histogram_boosting(estimator)
    if kind in _BOOSTED:
        return _boosting(estimator)
    if kind in _FORESTS:
        return _averaged(estimator.estimators_)
    return _averaged([estimator]) if kind in _TREES else None


def _histogram_boosting(estimator: Any) -> Forest | None:
    rounds = estimator._predictors
    trees = [tree.nodes for each in rounds for tree in each]
    if estimator._preprocessor is not None or any(each["is_categorical"].any() for each in trees):
        return None
    nodes = [_nodes_of_histogram(each) for each in trees]
    values = [each["value"][:, None] for each in trees]
    targets = [output for each in rounds for output in range(len(each))]
    start = np.ravel(estimator._baseline_prediction).astype(np.float64)
    return _joined(nodes, values, targets, start, np.float64, _finish_of(estimator))


def _nodes_of_histogram(tree: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    nodes = np.zeros(len(tree), NODE)
    nodes["threshold"] = tree["num_threshold"]
    nodes["feature"] = np.where(tree["is_leaf"], LEAF, tree["feature_idx"])
    nodes["missing_left"] = tree["missing_go_to_left"]
    nodes["left"], nodes["right"] = tree["left"], tree["right"]
    return nodes


def _boosting(estimator: Any) -> Forest | None:
    if estimator.init is not None and estimator.init != "zero":
        return None
    trees = [each.tree_ for each in estimator.estimators_.ravel()]
    outputs = estimator.estimators_.shape[1]
    values = [estimator.learning_rate * each.value[:, 0, :1] for each in trees]
    targets = [place % outputs for place in range(len(trees))]
    some = np.zeros((1, estimator.n_features_in_), np.float32)
    start = np.ravel(estimator._raw_predict_init(some)).astype(np.float64)
    nodes = [_nodes_of_tree(each) for each in trees]
    return _joined(nodes, values, targets, start, np.float32, _finish_of(estimator))


def _averaged(estimators: Sequence[Any]) -> Forest:
    trees = [each.tree_ for each in estimators]
    values = [each.value[:, 0, :] for each in trees]
    nodes = [_nodes_of_tree(each) for each in trees]
    start = np.zeros(values[0].shape[1])
    # Divided at the end, as scikit-learn does: two classes that are level stay so.
    return _joined(
        nodes, values, [0] * len(trees), start, np.float32, lambda sums: sums / len(trees)
    )


def _nodes_of_tree(tree: Any) -> npt.NDArray[np.void]:
    nodes = np.zeros(tree.node_count, NODE)
    nodes["threshold"] = tree.threshold
    nodes["feature"] = np.where(tree.children_left < 0, LEAF, tree.feature)
    nodes["missing_left"] = tree.missing_go_to_left
    nodes["left"], nodes["right"] = tree.children_left, tree.children_right
    return nodes


def _finish_of(estimator: Any) -> Callable[[Outputs], Outputs]:
    loss = estimator._loss
    if is_classifier(estimator):
        return lambda sums: np.asarray(loss.predict_proba(sums))
    return lambda sums: np.asarray(loss.link.inverse(sums))


def _joined(
    nodes: Sequence[npt.NDArray[np.void]],
    values: Iterable[npt.NDArray[np.float64]],
    targets: Sequence[int],
    start: npt.NDArray[np.float64],
    precision: type[np.floating[Any]],
    finished: Callable[[Outputs], Outputs],
) -> Forest:
    sizes = [len(each) for each in nodes]
    roots = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int32)
    joined = np.concatenate(nodes)
    for side in ("left", "right"):
        joined[side] += np.repeat(roots, sizes)
    return Forest(
        joined,
        np.ascontiguousarray(np.concatenate(list(values)), np.float64),
        roots,
        np.array(targets, np.int32),
        start,
        precision,
        finished,
    )
