"""Hidden values of estimators of scikit-learn, and what stands in for them."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from common.data.rows import RawRows
from common.models.frames import frame_of
from common.models.skops_model import INPUT
from services.analyzer.domain.hidden.source import HiddenLayer, Visit
from services.analyzer.domain.models.foreign import SklearnAnalysed

LEAVES = "leaves"

_BATCH = 8192
_MOST_COLUMNS = 2048
_LEAF_UNITS = 32
_MOST_LEAF_ROWS = 5000
_INNER = ("best_estimator_", "regressor_")
_FUNCTIONS = {"relu": "relu", "tanh": "tanh", "logistic": "sigmoid", "identity": ""}
_Numbers = npt.NDArray[np.float64]
_COMPUTED: dict[str, Callable[[_Numbers], _Numbers]] = {
    "relu": lambda sums: np.maximum(sums, 0),
    "tanh": np.tanh,
    "logistic": lambda sums: np.asarray(0.5 + 0.5 * np.tanh(sums / 2)),
    "identity": lambda sums: sums,
}


def chain_of(estimator: Any) -> list[tuple[str, Any]]:
    """Returns the steps of an estimator, the one that predicts last: pipelines are written out."""
    for name in _INNER:
        if hasattr(estimator, name):
            return chain_of(getattr(estimator, name))
    if not isinstance(estimator, Pipeline):
        return [(type(estimator).__name__, estimator)]
    steps = [(name, step) for name, step in estimator.steps if step not in (None, "passthrough")]
    *before, (_, last) = steps
    return [*before, *chain_of(last)]


class PerceptronLayers:
    """The hidden layers of a multi-layer perceptron: `hidden_1` and so on."""

    note = ""

    def __init__(self, model: SklearnAnalysed) -> None:
        """Computes nothing yet."""
        self._model = model
        *self._before, (_, self._network) = chain_of(model.model.estimator)
        function = _FUNCTIONS[self._network.activation]
        count = len(self._network.coefs_) - 1
        self.layers = tuple(HiddenLayer(f"hidden_{n + 1}", function) for n in range(count))
        self.usual = tuple(layer.name for layer in self.layers)

    def visit(self, raw: RawRows, names: Sequence[str], visit: Visit) -> None:
        """See `HiddenSource`."""
        compute = _COMPUTED[self._network.activation]
        weights = zip(self._network.coefs_, self._network.intercepts_, strict=True)
        layers = [*zip(self.usual, weights, strict=False)]
        first = 0
        for part in raw.parts(_BATCH):
            values = prepared(self._model, self._before, part)
            for name, (weight, bias) in layers:
                values = compute(np.asarray(values @ weight + bias))
                if name in names:
                    visit(name, first, values.astype(np.float32))
            first += part.count


class StepLayers:
    """The steps of a pipeline before its last one, and the leaves of trees."""

    def __init__(self, model: SklearnAnalysed) -> None:
        """Computes nothing yet."""
        self._model = model
        *self._before, (_, self._last) = chain_of(model.model.estimator)
        names = [name for name, _ in self._before]
        self.usual = (*names, *([LEAVES] if hasattr(self._last, "apply") else []))
        self.layers = tuple(HiddenLayer(name) for name in self.usual)

    @cached_property
    def note(self) -> str:
        """See `HiddenSource`."""
        parts = ["outputs of the steps of its pipeline"] if self._before else []
        if LEAVES in self.usual:
            parts.append("leaves of its trees (their main directions: like rows share leaves)")
        kind = type(self._last).__name__
        return f"A {kind} has no hidden layers; {' and '.join(parts)} stand in for them."

    def visit(self, raw: RawRows, names: Sequence[str], visit: Visit) -> None:
        """See `HiddenSource`. All rows at once: what is sparse is cut to its largest columns."""
        table = _table(self._model, raw)
        for name, step in self._before:
            table = step.transform(table)
            if name in names and table.ndim == 2:
                visit(name, 0, _numbers(table).astype(np.float32))
        if LEAVES in names:
            visit(LEAVES, 0, _leaves(self._last, table))


def _table(model: SklearnAnalysed, raw: RawRows) -> Any:
    """Returns rows as the estimator takes them."""
    inputs = model.inputs(raw)
    return frame_of(model.model.columns, inputs) if model.model.is_named else inputs[INPUT]


def prepared(model: SklearnAnalysed, steps: Sequence[tuple[str, Any]], raw: RawRows) -> Any:
    """Returns rows as they come out of steps."""
    table = _table(model, raw)
    for _, step in steps:
        table = step.transform(table)
    return table


def _numbers(table: Any) -> _Numbers:
    """Returns a table as numbers, means for missing ones; of sparse ones the largest columns."""
    if sparse.issparse(table):
        table = _widest(table.tocsc())
    if getattr(table, "dtype", np.dtype(object)).kind in "fiub":
        values = np.asarray(table, np.float64)
    else:
        values = pd.DataFrame(table).apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    missing = ~np.isfinite(values)
    if not missing.any():
        return values
    known = np.where(missing, 0, values)
    means = known.sum(axis=0) / np.maximum((~missing).sum(axis=0), 1)
    return np.where(missing, means, known)


def _widest(table: Any) -> _Numbers:
    """Returns the columns of a sparse table with the largest squares."""
    if table.shape[1] > _MOST_COLUMNS:
        squares = np.asarray(table.multiply(table).sum(axis=0)).reshape(-1)
        table = table[:, np.sort(np.argsort(-squares, kind="stable")[:_MOST_COLUMNS])]
    return np.asarray(table.toarray(), np.float64)


def _leaves(trees: Any, table: Any) -> npt.NDArray[np.float32]:
    """Returns the main directions of which leaves rows fall into, shape (rows, directions)."""
    leaves = np.asarray(trees.apply(table))
    leaves = leaves.reshape(len(leaves), -1)
    encoder = OneHotEncoder(handle_unknown="ignore").fit(leaves[:_MOST_LEAF_ROWS])
    encoded = encoder.transform(leaves)
    units = min(_LEAF_UNITS, encoded.shape[1] - 1, len(leaves) - 1)
    if units < 1:
        return np.asarray(encoded.toarray(), np.float32)
    reduction = TruncatedSVD(units, random_state=0).fit(encoded[:_MOST_LEAF_ROWS])
    return np.asarray(reduction.transform(encoded), np.float32)
