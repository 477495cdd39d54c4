"""Gradient-boosted trees of LightGBM, kept as its text without what predictions do not need."""

import copy
import os
import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

if TYPE_CHECKING:
    import lightgbm

Values = npt.NDArray[np.float64]
Matrix = Any
"""Numbers with NaN, (rows, columns), dense or sparse."""

# What training and explaining look at, and the sizes of trees, which are other then.
_NEEDLESS = re.compile(
    r"^(?:tree_sizes|split_gain|leaf_weight|leaf_count|internal_\w+|feature_infos)=.*\n", re.M
)
_LEVEL = 3
"""Of compression: beyond it takes twice the time for a tenth."""
_TREES = re.compile(r"\nend of trees\n.*", re.S)


def packed(booster: "lightgbm.Booster", rounds: int) -> npt.NDArray[np.uint8]:
    """Returns the first rounds of a booster, compressed."""
    text = _text_of(booster, rounds)
    width = booster.num_feature()
    slim = _NEEDLESS.sub("", _TREES.sub("\nend of trees\n\npandas_categorical:null\n", text))
    # LightGBM insists on the line; what it says of each column is for reading by people.
    infos = "feature_infos=" + " ".join(["none"] * width) + "\n\nTree=0\n"
    slim = slim.replace("\nTree=0\n", infos, 1)
    return np.frombuffer(zlib.compress(slim.encode(), _LEVEL), np.uint8).copy()


def _text_of(booster: "lightgbm.Booster", rounds: int) -> str:
    # Into a file in memory: `model_to_string` makes all of a long text twice.
    with os.fdopen(os.memfd_create("booster"), "rb") as file:
        booster.save_model(f"/proc/self/fd/{file.fileno()}", num_iteration=rounds)
        return file.read().decode()


class _Boosted(BaseEstimator):
    """What classifiers and regressors share; made by `of`, never fitted themselves."""

    texts_: list[npt.NDArray[np.uint8]]
    n_features_in_: int

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_opened", None)
        return state

    def fit(self, features: Matrix, truth: Any) -> Self:
        """Raises TypeError: it is fitted from the start."""
        raise TypeError(f"{type(self).__name__} is made of boosters that were learned elsewhere.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "texts_")

    def with_rounds(self, rounds: int) -> Self:
        """Returns the same of the first rounds alone."""
        made = copy.copy(self)
        made.texts_ = [packed(each, rounds) for each in self._boosters()]
        made.__dict__.pop("_opened", None)
        return made

    @property
    def rounds(self) -> int:
        """How many rounds there are; of many labels the most of any."""
        return max(each.current_iteration() for each in self._boosters())

    @property
    def tree_count(self) -> int:
        """How many trees there are, of all labels and classes."""
        return sum(each.num_trees() for each in self._boosters())

    def _found(self, features: Matrix) -> list[Values]:
        """Returns what each booster says."""
        rows = csr_array(features) if issparse(features) else np.asarray(features)
        return [np.asarray(each.predict(rows, num_threads=1)) for each in self._boosters()]

    def _boosters(self) -> "list[lightgbm.Booster]":
        if not hasattr(self, "_opened"):
            # Imported here: a service that only looks at a file's types does without.
            import lightgbm  # noqa: PLC0415

            contents = [zlib.decompress(each.tobytes()).decode() for each in self.texts_]
            self._opened = [lightgbm.Booster(model_str=content) for content in contents]
        return self._opened


class BoostedClassifier(ClassifierMixin, _Boosted):
    """Classes from one booster, or many labels from a booster for each.

    Attributes:
        classes_: The classes that were learned, ascending; of many labels their positions.
        is_multi_label: Whether there are many labels.
    """

    def __init__(self, is_multi_label: bool = False) -> None:
        self.is_multi_label = is_multi_label

    @classmethod
    def of(
        cls,
        texts: Sequence[npt.NDArray[np.uint8]],
        classes: npt.NDArray[np.int64],
        width: int,
        is_multi_label: bool = False,
    ) -> Self:
        """Returns a classifier.

        Args:
            texts: See `packed`; of many labels one each.
            classes: See `classes_`; at least two.
            width: Number of features.
            is_multi_label: Whether there are many labels.
        """
        made = cls(is_multi_label)
        made.texts_, made.classes_, made.n_features_in_ = list(texts), classes, width
        return made

    def predict_proba(self, features: Matrix) -> Values:
        """Returns probabilities, (rows, classes) or (rows, labels)."""
        found = self._found(features)
        if self.is_multi_label:
            return np.column_stack(found)
        return found[0] if found[0].ndim == 2 else np.column_stack([1 - found[0], found[0]])

    def predict(self, features: Matrix) -> npt.NDArray[np.int64]:
        """Returns the likeliest classes, or 0 or 1 for each label."""
        found = self.predict_proba(features)
        if self.is_multi_label:
            return (found > 0.5).astype(np.int64)
        chosen: npt.NDArray[np.int64] = self.classes_[found.argmax(axis=1)]
        return chosen


class BoostedRegressor(RegressorMixin, _Boosted):
    """Values from a booster of targets on another scale.

    Attributes:
        center_: What 0 stands for.
        scale_: What a difference of 1 stands for.
        is_log_: Whether these are of log(1 + target).
    """

    @classmethod
    def of(
        cls, text: npt.NDArray[np.uint8], width: int, center: float, scale: float, is_log: bool
    ) -> Self:
        """Returns a regressor; arguments are its attributes and those of `BoostedClassifier.of`."""
        made = cls()
        made.texts_, made.n_features_in_ = [text], width
        made.center_, made.scale_, made.is_log_ = center, scale, is_log
        return made

    def predict(self, features: Matrix) -> Values:
        """Returns values, (rows,)."""
        values: Values = self.center_ + self.scale_ * self._found(features)[0]
        return np.expm1(values) if self.is_log_ else values
