"""Perceptrons for tables that share most weights (Gorishniy et al. 2024), in numpy alone."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

Array = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
Matrix = Any
"""Numbers without NaN, (rows, columns), dense or sparse."""

_CHUNK = 2048
_REACH = 4.0


class PiecewiseLinear:
    """Numbers as they are, softly clipped, and by where they are between quantiles.

    Piecewise linear encoding is by Gorishniy et al. (2022).

    Attributes:
        sources: The column of each piece, (pieces,).
        lows: Where each piece begins, (pieces,).
        slopes: One over the width of each piece, (pieces,).
    """

    def __init__(self, sources: npt.NDArray[np.int64], lows: Array, slopes: Array) -> None:
        """Takes the pieces."""
        self.sources, self.lows, self.slopes = sources, lows, slopes

    @classmethod
    def of(cls, features: Array, most: int) -> Self:
        """Finds quantiles.

        Args:
            features: Rows to learn from, (rows, columns).
            most: Pieces of a column at most; columns of few values have none.
        """
        sources, lows, slopes = [], [], []
        for position, column in enumerate(features.T):
            edges = _edges(column, most)
            if len(edges) > 2:
                sources += [position] * (len(edges) - 1)
                lows += edges[:-1].tolist()
                slopes += (1 / np.diff(edges)).tolist()
        return cls(
            np.array(sources, np.int64), np.array(lows, np.float32), np.array(slopes, np.float32)
        )

    def encoded(self, features: Array) -> Array:
        """Returns (rows, columns + pieces)."""
        clipped: Array = features / np.sqrt(1 + np.square(features / _REACH))
        if not len(self.sources):
            return clipped
        pieces = features[:, self.sources]
        pieces -= self.lows
        pieces *= self.slopes
        np.clip(pieces, 0, 1, out=pieces)
        pieces -= np.float32(0.5)
        return np.concatenate([clipped, pieces], axis=1)


def _edges(column: Array, most: int) -> npt.NDArray[np.float64]:
    values = np.unique(column).astype(np.float64)
    if most < 2 or len(values) <= 3:
        return values[:0]
    if len(values) <= most:
        return values
    edges: npt.NDArray[np.float64] = np.unique(
        np.quantile(column.astype(np.float64), np.linspace(0, 1, most + 1))
    )
    # Pieces that are next to nothing would amplify noise.
    wide = np.diff(edges) > 1e-5 * (edges[-1] - edges[0])
    kept: npt.NDArray[np.float64] = edges[np.concatenate([[True], wide])]
    return kept


def activated(values: Array, name: str) -> Array:
    """Returns an activation, `relu` or `silu`."""
    if name == "relu":
        return np.maximum(values, 0)
    return values * sigmoid(values)


class Network:
    """Perceptrons that differ in how they weigh columns, in biases and in the last layer.

    Attributes:
        encoding: What the first layer takes.
        activation: See `activated`.
        weights: By name: `mix` (members, inputs) multiplies what is encoded; `weight_0`,
            `weight_1`, ... (inputs, outputs) are shared, `bias_0`, ... (members, outputs) are not;
            nor are `head` (members, inputs, outputs) and `head_bias` (members, outputs).
    """

    def __init__(
        self, encoding: PiecewiseLinear, activation: str, weights: Mapping[str, Array]
    ) -> None:
        """Takes what there is to keep."""
        self.encoding, self.activation, self.weights = encoding, activation, dict(weights)

    @property
    def depth(self) -> int:
        """Number of layers below the last."""
        return sum(name.startswith("weight_") for name in self.weights)

    def outputs(self, features: Matrix) -> Array:
        """Returns what each member says, (members, rows, outputs)."""
        chunks = [
            self._outputs(dense(features[begin : begin + _CHUNK]))
            for begin in range(0, max(features.shape[0], 1), _CHUNK)
        ]
        return np.concatenate(chunks, axis=1)

    def _outputs(self, features: Array) -> Array:
        weights = self.weights
        values: Any = self.encoding.encoded(features) * weights["mix"][:, None, :]
        for layer in range(self.depth):
            members, rows, width = values.shape
            flat: Array = values.reshape(members * rows, width) @ weights[f"weight_{layer}"]
            values = flat.reshape(members, rows, -1)
            values += weights[f"bias_{layer}"][:, None, :]
            values = activated(values, self.activation)
        found: Array = values @ weights["head"] + weights["head_bias"][:, None, :]
        return found


def dense(features: Matrix) -> Array:
    """Returns some rows as an array."""
    found = csr_array(features).toarray() if issparse(features) else np.asarray(features)
    return found.astype(np.float32, copy=False)


def softmax(values: Array) -> Array:
    """Returns probabilities along the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(values: Array) -> Array:
    """Returns the probability of each value alone."""
    found = np.negative(values)
    # Beyond this the power is no float any more.
    np.minimum(found, 80, out=found)
    np.exp(found, out=found)
    found += 1
    return np.reciprocal(found, out=found)


class _Perceptron(BaseEstimator):
    """What classifiers and regressors share; made by `of`, never fitted themselves."""

    network_: Network
    n_features_in_: int

    def fit(self, features: Matrix, truth: Any) -> Self:
        """Raises TypeError: it is fitted from the start."""
        raise TypeError(f"{type(self).__name__} is made of a network that was learned elsewhere.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def _holding(self, network: Network, width: int) -> Self:
        self.network_, self.n_features_in_ = network, width
        return self


class PerceptronClassifier(ClassifierMixin, _Perceptron):
    """Classes or many labels.

    Attributes:
        classes_: The classes that were learned, ascending; of many labels their positions.
        is_multi_label: Whether there are many labels.
    """

    def __init__(self, is_multi_label: bool = False) -> None:
        self.is_multi_label = is_multi_label

    @classmethod
    def of(
        cls,
        network: Network,
        classes: npt.NDArray[np.int64],
        width: int,
        is_multi_label: bool = False,
    ) -> Self:
        """Returns a classifier.

        Args:
            network: With an output for each class or label.
            classes: See `classes_`.
            width: Number of features.
            is_multi_label: Whether there are many labels.
        """
        made = cls(is_multi_label)
        made.classes_ = classes
        return made._holding(network, width)

    def predict_proba(self, features: Matrix) -> Values:
        """Returns probabilities, (rows, classes) or (rows, labels)."""
        shares = sigmoid if self.is_multi_label else softmax
        found: Values = shares(self.network_.outputs(features)).mean(axis=0, dtype=np.float64)
        return found

    def predict(self, features: Matrix) -> npt.NDArray[np.int64]:
        """Returns the likeliest classes, or 0 or 1 for each label."""
        found = self.predict_proba(features)
        if self.is_multi_label:
            return (found > 0.5).astype(np.int64)
        chosen: npt.NDArray[np.int64] = self.classes_[found.argmax(axis=1)]
        return chosen


class PerceptronRegressor(RegressorMixin, _Perceptron):
    """Values.

    Attributes:
        center_: What 0 stands for.
        scale_: What a difference of 1 stands for.
        is_log_: Whether these are of log(1 + target).
        low_: The smallest value that a member may say, on the network's scale.
        high_: The largest.
    """

    @classmethod
    def of(
        cls,
        network: Network,
        width: int,
        scale: tuple[float, float, bool],
        bounds: tuple[float, float],
    ) -> Self:
        """Returns a regressor; `scale` and `bounds` are its attributes in their order."""
        made = cls()
        made.center_, made.scale_, made.is_log_ = scale
        made.low_, made.high_ = bounds
        return made._holding(network, width)

    def predict(self, features: Matrix) -> Values:
        """Returns values, (rows,)."""
        found = self.network_.outputs(features)[:, :, 0].astype(np.float64)
        means: Values = np.clip(found, self.low_, self.high_).mean(axis=0)
        values: Values = self.center_ + self.scale_ * means
        return np.expm1(values) if self.is_log_ else values
