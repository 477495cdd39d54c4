"""Trees of LightGBM, read from its text and written to it."""

import copy
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from lightgbm import Booster

from services.pruner.domain.classical.boosting import BoostedSum, averaged
from services.pruner.domain.classical.rows import named, taken
from services.pruner.domain.trees.refitting import Floats, Leaves, Positions, Refitted, Splits

_OF_SPLITS = (
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "internal_value",
    "internal_weight",
    "internal_count",
)
_OF_LEAVES = ("leaf_weight", "leaf_count")
_CHUNK = 1_000
_LOGARITHMIC = ("poisson", "gamma", "tweedie")


class LightSum(BoostedSum):
    """`LGBMClassifier` or `LGBMRegressor`.

    Nodes are splits first, then leaves, each in LightGBM's order.
    """

    def __init__(self, estimator: Any) -> None:
        """Takes a fitted estimator."""
        super().__init__(estimator)
        text = estimator.booster_.model_to_string()
        self._head, rest = text.split("\nTree=", 1)
        body, self._tail = rest.split("\nend of trees", 1)
        blocks = [block.split("\n", 1)[1] for block in f"\nTree={body}".split("\nTree=")[1:]]
        self._fields = [_fields_of(block) for block in blocks]

    @property
    def per_round(self) -> int:
        """Trees of a round, one for each output."""
        return int(self._estimator.booster_.num_model_per_iteration())

    @cached_property
    def trees(self) -> Sequence[Splits]:
        """All trees, round by round."""
        return [_splits(each, self._output(at)) for at, each in enumerate(self._fields)]

    def raw(self, features: Any) -> Floats:
        """Returns scores before they become probabilities or values, (rows, outputs)."""
        found = self._estimator.predict(named(self._estimator, features), raw_score=True)
        return np.asarray(found, np.float64).reshape(len(found), -1)

    def leaves(self, features: Any, count: int) -> Sequence[Leaves]:
        """Returns in which leaf of each of the first trees rows end, (rows,) each."""
        rows = named(self._estimator, features)
        splits = np.array([int(each["num_leaves"]) - 1 for each in self._fields], np.int32)
        # LightGBM answers with eight bytes for each tree and row.
        parts = [
            self._estimator.predict(taken(rows, own), pred_leaf=True).astype(np.int32)
            for own in np.array_split(np.arange(rows.shape[0]), 1 + rows.shape[0] // _CHUNK)
        ]
        found = np.concatenate([each.reshape(len(each), -1) for each in parts]) + splits
        return list(np.ascontiguousarray(found[:, :count].T))

    def rebuilt(self, trees: Sequence[Refitted]) -> Any:
        """Returns an estimator of the same class with the first trees, fitted again."""
        # Without the sizes of its parts LightGBM reads the text from its start to its end.
        head = re.sub(r"\ntree_sizes=[^\n]*", "", self._head)
        own = zip(self._fields, self.trees, trees, strict=False)
        blocks = [f"\nTree={at}\n{_text(*each)}\n\n" for at, each in enumerate(own)]
        text = "".join([head, "\n", *blocks, "\nend of trees", self._tail])
        found = copy.copy(self._estimator)
        found._Booster = Booster(model_str=text)
        found.n_estimators = found._n_estimators = len(trees) // self.per_round
        found._best_iteration = 0
        return found

    @property
    def _is_log(self) -> bool:
        return str(self._estimator.objective_) in _LOGARITHMIC


def _fields_of(block: str) -> dict[str, str]:
    """Returns the lines of a tree's text by their names."""
    return dict(line.split("=", 1) for line in block.strip().splitlines())


def _numbers(fields: dict[str, str], name: str) -> Floats:
    return np.array(fields.get(name, "").split(), np.float64)


def _splits(fields: dict[str, str], outputs: slice) -> Splits:
    leaves = int(fields["num_leaves"])
    splits = leaves - 1
    sides = []
    for name in ("left_child", "right_child"):
        children = _numbers(fields, name).astype(np.int64)[:splits]
        places = np.where(children < 0, splits + ~children, children)
        sides.append(np.concatenate([places, np.full(leaves, -1)]))
    values = np.concatenate([np.zeros(splits), _numbers(fields, "leaf_value")])
    counts = np.concatenate([np.zeros(splits), _numbers(fields, "leaf_count")])
    bare = Splits(sides[0], sides[1], values[:, None], outputs)
    for nodes, left, right in reversed(bare.levels()):
        counts[nodes] = counts[left] + counts[right]
    return averaged(bare, counts)


def _text(fields: dict[str, str], splits: Splits, found: Refitted) -> str:
    """Returns the text of a tree with the nodes that are left and what they now answer."""
    kept, count = found.kept, int(fields["num_leaves"]) - 1
    is_leaf = (kept >= count) | (found.stands_for[splits.left[kept]] == kept)
    inner, leaves = kept[~is_leaf], kept[is_leaf]
    places = np.zeros(len(splits.left), np.int64)
    places[inner], places[leaves] = np.arange(len(inner)), ~np.arange(len(leaves))
    new = fields | {"num_leaves": str(len(leaves)), "shrinkage": "1"}
    new["leaf_value"] = " ".join(repr(float(each)) for each in found.values[leaves, 0])
    new["left_child"] = _joined(places[splits.left[inner]])
    new["right_child"] = _joined(places[splits.right[inner]])
    for name in _OF_SPLITS:
        words = fields.get(name, "").split()
        new[name] = " ".join(words[at] for at in inner)
    for name in _OF_LEAVES:
        new[name] = _joined(_of_new_leaves(fields, name, splits, leaves))
    return "\n".join(f"{name}={value}" for name, value in new.items())


def _of_new_leaves(fields: dict[str, str], name: str, splits: Splits, leaves: Positions) -> Floats:
    """Returns sums over the old leaves below each new one."""
    own = _numbers(fields, name)
    total = np.concatenate([np.zeros(len(splits.left) - len(own)), own])
    for nodes, left, right in reversed(splits.levels()):
        total[nodes] = total[left] + total[right]
    return total[leaves]


def _joined(values: Any) -> str:
    return " ".join(str(int(each)) for each in values)
