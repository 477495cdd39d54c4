"""Boosted trees of LightGBM and scikit-learn as ONNX operators."""

import re
import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from common.models.twins.graph import Graph, NoTwinError
from common.models.twins.trees import Tree, trees

_CATEGORY, _DEFAULT_LEFT = 1, 2
_MISSING_ZERO, _MISSING_NAN = 1, 2
_NAMED = re.compile(r"^(\w+)=(.*)$", re.M)
_BITS = 32


def lightgbm_scores(graph: Graph, matrix: str, packed: npt.NDArray[np.uint8]) -> tuple[str, str]:
    """Returns what a booster says before its objective's transformation, and its objective."""
    head, *sections = zlib.decompress(packed.tobytes()).decode().split("\nTree=")
    told = dict(_NAMED.findall(head))
    count = int(told.get("num_tree_per_iteration", 1))
    own = [section.partition("\nend of trees")[0] for section in sections]
    found = [_lightgbm_tree(each, place % count) for place, each in enumerate(own)]
    if "average_output" in head:
        raise NoTwinError("its boosters are averages")
    return trees(graph, matrix, found, count), told.get("objective", "")


def _lightgbm_tree(section: str, target: int) -> Tree:
    told = dict(_NAMED.findall(section))
    if told.get("is_linear", "0") != "0":
        raise NoTwinError("the leaves of its boosters are linear models")
    leaves = _numbers(told, "leaf_value")
    if int(told["num_leaves"]) <= 1:
        return Tree([], [], [], [], [], [], leaves[:1], target)
    kinds = [int(each) for each in told["decision_type"].split()]
    thresholds = _numbers(told, "threshold")
    is_category = [bool(kind & _CATEGORY) for kind in kinds]
    sets = _sets(told)
    members = [
        sets[int(threshold)] if category else None
        for threshold, category in zip(thresholds, is_category, strict=True)
    ]
    return Tree(
        features=[int(each) for each in told["split_feature"].split()],
        thresholds=[
            0.0 if each else value for each, value in zip(is_category, thresholds, strict=True)
        ],
        members=members,
        missing_left=[_missing_left(*each) for each in zip(kinds, thresholds, strict=True)],
        left=[int(each) for each in told["left_child"].split()],
        right=[int(each) for each in told["right_child"].split()],
        leaves=leaves,
        target=target,
    )


def _missing_left(kind: int, threshold: float) -> bool:
    """Returns where missing values go; where none were seen, they count as 0."""
    if kind & _CATEGORY:
        return False
    missing = (kind >> 2) & 3
    if missing == _MISSING_ZERO:
        raise NoTwinError("its boosters take 0 for missing")
    return bool(kind & _DEFAULT_LEFT) if missing == _MISSING_NAN else threshold >= 0


def _sets(told: Mapping[str, str]) -> list[list[float]]:
    """Returns the categories that go left, of each node that asks for categories."""
    if not int(told.get("num_cat", 0)):
        return []
    bounds = [int(each) for each in told["cat_boundaries"].split()]
    words = [int(each) for each in told["cat_threshold"].split()]
    return [
        [
            float(_BITS * place + bit)
            for place, word in enumerate(words[start:end])
            for bit in range(_BITS)
            if word >> bit & 1
        ]
        for start, end in pairwise(bounds)
    ]


def _numbers(told: Mapping[str, str], name: str) -> list[float]:
    return [float(each) for each in told[name].split()]


def hist_scores(graph: Graph, matrix: str, model: Any) -> str:
    """Returns what histogram gradient boosting says before its link, (rows, outputs)."""
    columns, levels = _encoding(model)
    found = [
        _hist_tree(predictor, columns, levels, target)
        for iteration in model._predictors
        for target, predictor in enumerate(iteration)
    ]
    total = trees(graph, matrix, found, model.n_trees_per_iteration_)
    baseline = np.asarray(model._baseline_prediction, np.float64).reshape(1, -1)
    return graph.add("Add", total, graph.constant(baseline))


def _encoding(model: Any) -> tuple[list[int], dict[int, list[float]]]:
    """Returns the column of each feature that trees name, and the values of its categories."""
    width = int(model.n_features_in_)
    preprocessor = getattr(model, "_preprocessor", None)
    if preprocessor is None:
        return list(range(width)), {}
    is_category = np.asarray(model.is_categorical_)
    # Its preprocessor puts the categories first.
    chosen = np.flatnonzero(_original_mask(preprocessor, is_category))
    others = np.setdiff1d(np.arange(width), chosen)
    encoder = preprocessor.named_transformers_["encoder"]
    levels = {
        place: [float(each) for each in values] for place, values in enumerate(encoder.categories_)
    }
    return [*chosen.tolist(), *others.tolist()], levels


def _original_mask(preprocessor: Any, is_category: Any) -> npt.NDArray[np.bool_]:
    mask = np.zeros(len(is_category), bool)
    for name, _, columns in preprocessor.transformers_:
        if name == "encoder":
            chosen = np.asarray(columns)
            mask[chosen] = True
    return mask


def _hist_tree(
    predictor: Any, columns: Sequence[int], levels: Mapping[int, Sequence[float]], target: int
) -> Tree:
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    number = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
    inner = nodes[~is_leaf]
    sets = [_hist_set(predictor, node, levels) for node in inner]
    # A category that was not there goes where missing values go: where that is left, those that go
    # right are asked for, and the sides change.
    is_turned = [
        members is not None and bool(node["missing_go_to_left"])
        for members, node in zip(sets, inner, strict=True)
    ]
    left, right = number[inner["left"].astype(int)], number[inner["right"].astype(int)]
    turned = np.array(is_turned, bool)
    return Tree(
        features=[columns[int(each)] for each in inner["feature_idx"]],
        thresholds=np.where(inner["is_categorical"], 0.0, inner["num_threshold"]).tolist(),
        members=sets,
        missing_left=[
            bool(node["missing_go_to_left"]) and members is None
            for members, node in zip(sets, inner, strict=True)
        ],
        left=np.where(turned, right, left).tolist(),
        right=np.where(turned, left, right).tolist(),
        leaves=nodes["value"][is_leaf].tolist(),
        target=target,
    )


def _hist_set(
    predictor: Any, node: Any, levels: Mapping[int, Sequence[float]]
) -> list[float] | None:
    """Returns values of categories: that go left, or right where missing values go left."""
    if not node["is_categorical"]:
        return None
    bits = predictor.raw_left_cat_bitsets[int(node["bitset_idx"])]
    known = levels[int(node["feature_idx"])]
    goes_left = bool(node["missing_go_to_left"])
    return [
        value
        for code, value in enumerate(known)
        if value == value and bool(int(bits[code // _BITS]) >> (code % _BITS) & 1) != goes_left
    ]
