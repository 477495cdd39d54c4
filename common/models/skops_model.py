"""scikit-learn estimators in skops files. Imports skops and scikit-learn; nothing is unpickled."""

import importlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import isfunction
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from aimass.catalog.v1 import model_pb2
from common.artifacts.protocol import ObjectStore
from common.data.schema import Task
from common.models.errors import bad_model
from common.models.frames import NUMBER, TEXT, FrameColumn, columns_of, frame_of
from common.models.skops_import import skops_io
from common.models.store import read_part
from common.models.vectors import Tensors, read_vectors, replay
from common.wording import quoted

INPUT = "features"
PROBABILITIES = "probabilities"
PREDICTION = "prediction"

# Modules whose types skops does not trust by itself: parts of scikit-learn's own estimators that
# compute and do nothing else. A crafted tree can still end its process: load models apart.
_MODULES = frozenset(
    {
        "sklearn._loss._loss",
        "sklearn._loss.link",
        "sklearn._loss.loss",
        "sklearn.calibration",
        "sklearn.ensemble._hist_gradient_boosting.binning",
        "sklearn.ensemble._hist_gradient_boosting.predictor",
        "sklearn.gaussian_process._gpc",
        "sklearn.gaussian_process.kernels",
        "sklearn.metrics._classification",
        "sklearn.metrics._dist_metrics",
        "sklearn.metrics._ranking",
        "sklearn.metrics._regression",
        "sklearn.metrics._scorer",
        "sklearn.model_selection._split",
        "sklearn.neighbors._ball_tree",
        "sklearn.neighbors._kd_tree",
        "sklearn.neural_network._stochastic_optimizers",
        "sklearn.tree._tree",
    }
)

# Estimators of our own, which hold others: these are checked in turn.
_OWN = "common.models.estimators."

# Types that pipelines over data frames hold: they name other types, which are checked in turn.
# Sparse matrices are read as plain arrays; neighbours and kernels of texts keep rows of them.
_TYPES = frozenset(
    {
        "builtins.object",
        "collections.OrderedDict",
        "functools.partial",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",
        "numpy.number",
        "scipy.sparse._csr.csr_array",
        "scipy.sparse._csr.csr_matrix",
        "sklearn.compose._column_transformer.make_column_selector",
        "sklearn.utils.validation.check_array",
    }
)


@dataclass(frozen=True)
class SkopsModel:
    """A fitted classifier or regressor over a table.

    Attributes:
        estimator: The estimator or pipeline.
        columns: What it takes.
        is_named: Whether it was fitted on a data frame: then each column is an input, shape [rows];
            else there is one input `features`, shape [rows, columns].
        signature: Inputs and classes; with outputs once it has been run (`described`).
    """

    estimator: Any
    columns: tuple[FrameColumn, ...]
    is_named: bool
    signature: model_pb2.Signature

    @property
    def is_classifier(self) -> bool:
        """Whether it predicts classes, as opposed to numbers."""
        return bool(is_classifier(self.estimator))

    def predict(self, inputs: Tensors) -> Tensors:
        """Returns the outputs by name.

        These are `probabilities`, or `prediction`: of a regressor float64, of a classifier without
        probabilities positions in the classes, of many labels at once 0 or 1 for each. A
        classifier of several targets gives `probabilities_0`, `probabilities_1` and so on.
        """
        table = self.table(inputs)
        if not self.is_classifier:
            return {PREDICTION: np.asarray(self.estimator.predict(table), np.float64)}
        if hasattr(self.estimator, "predict_proba"):
            found = self.estimator.predict_proba(table)
            if not isinstance(found, list):
                return {PROBABILITIES: np.asarray(found)}
            return {f"{PROBABILITIES}_{index}": each for index, each in enumerate(found)}
        return self._positions(np.asarray(self.estimator.predict(table)))

    def task(self, inputs: Tensors) -> Task:
        """Returns what it predicts, as the shape of its predictions tells.

        Args:
            inputs: Any rows.
        """
        if not self.is_classifier:
            return Task.FORECASTING if hasattr(self.estimator, "horizon_") else Task.REGRESSION
        if np.ndim(self.estimator.predict(self.table(inputs))) == 1:
            return Task.CLASSIFICATION
        classes = self.estimator.classes_
        is_binary = not isinstance(classes, list) or all(len(each) <= 2 for each in classes)
        return Task.MULTI_LABEL if is_binary else Task.CLASSIFICATION

    def described(self, outputs: Tensors) -> model_pb2.Signature:
        """Returns the signature with the outputs that it gave for some rows."""
        signature = model_pb2.Signature()
        signature.CopyFrom(self.signature)
        for name, values in outputs.items():
            shape = [-1, *values.shape[1:]]
            signature.outputs.add(name=name, dtype=str(values.dtype), shape=shape)
        classes = self.estimator.classes_ if self.is_classifier else ()
        if isinstance(classes, list) and len(classes) == len(signature.outputs):
            for output, labels in zip(signature.outputs, classes, strict=True):
                output.classes[:] = _texts(labels)
        return signature

    def table(self, inputs: Tensors) -> Any:
        """Returns inputs as the estimator takes them: a data frame, or an array."""
        if self.is_named:
            return frame_of(self.columns, inputs)
        return inputs[INPUT]

    def _positions(self, found: npt.NDArray[np.generic]) -> Tensors:
        classes = self.estimator.classes_
        if isinstance(classes, list):
            pairs = enumerate(zip(classes, found.T, strict=True))
            return {f"{PREDICTION}_{index}": np.searchsorted(*pair) for index, pair in pairs}
        if found.ndim == 2:
            return {PREDICTION: found.astype(np.int64)}
        return {PREDICTION: np.searchsorted(classes, found)}


def open_skops(content: bytes, field: str) -> SkopsModel:
    """Checks the types in a skops file and loads it.

    Args:
        content: The file.
        field: Path of the field that it came from, for errors.

    Raises:
        InvalidFieldError: It is no skops file, holds types that are not on the list, or is no
            fitted classifier or regressor over a table.
    """
    try:
        untrusted = skops_io.get_untrusted_types(data=content)
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise bad_model(field, "is no skops file; write one with skops.io.dump") from error
    foreign = sorted(name for name in untrusted if not _is_listed(name))
    if foreign:
        raise bad_model(
            field,
            f"holds the type {foreign[0]}, which is not loaded; use estimators and pipelines of "
            "scikit-learn alone",
        )
    try:
        estimator = skops_io.loads(content, trusted=untrusted)
    except Exception as error:  # What a damaged file makes scikit-learn raise has no common root.
        told = quoted(error) if str(error) else "it is damaged"
        text = f"cannot be loaded ({told}); save it again with scikit-learn {sklearn.__version__}"
        raise bad_model(field, text) from error
    return _model(estimator, field)


def load_skops(store: ObjectStore, version: model_pb2.ModelVersion) -> SkopsModel:
    """Loads the skops file of a model version; digests are checked and test vectors replayed.

    Raises:
        FailedPreconditionError: The version has no skops file, or no test vectors.
        InvalidFieldError: See `open_skops`.
        DataLossError: A file is damaged, or the test vectors give other outputs; names which.
    """
    model = open_skops(read_part(version, "skops", store), version.name)
    model = replace(model, signature=version.signature)
    replay(version, read_vectors(version, store), model.predict)
    return model


def _is_listed(name: str) -> bool:
    module, _, own = name.rpartition(".")
    is_own = module.startswith(_OWN)
    if name in _TYPES or not (is_own or module in _MODULES):
        return name in _TYPES
    try:
        found = getattr(importlib.import_module(module), own, None)
    except ModuleNotFoundError:  # It is of another version of the suite.
        return False
    # What a module on the list imports from elsewhere is not on the list.
    return getattr(found, "__module__", "") == module and not (is_own and isfunction(found))


def _model(estimator: Any, field: str) -> SkopsModel:
    if not isinstance(estimator, BaseEstimator):
        raise bad_model(field, f"holds a {type(estimator).__name__}, which is no estimator")
    if not (is_classifier(estimator) or is_regressor(estimator)):
        raise bad_model(
            field, f"holds a {type(estimator).__name__}; import a classifier or a regressor"
        )
    try:
        check_is_fitted(estimator)
        width = int(estimator.n_features_in_)
        names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
        columns = columns_of(estimator, names or [str(index) for index in range(width)])
        classes = estimator.classes_ if is_classifier(estimator) else ()
    except (NotFittedError, AttributeError, TypeError, ValueError, IndexError) as error:
        raise bad_model(field, "is not fitted to a table; fit it before saving") from error
    inputs = _named_inputs(columns) if names else [_matrix_input(columns)]
    labels = [] if isinstance(classes, list) else _texts(classes)
    signature = model_pb2.Signature(inputs=inputs, classes=labels)
    return SkopsModel(estimator, columns, bool(names), signature)


def _named_inputs(columns: Sequence[FrameColumn]) -> list[model_pb2.TensorSpec]:
    return [
        model_pb2.TensorSpec(name=each.name, dtype=each.dtype, shape=[-1, *each.shape])
        for each in columns
    ]


def _matrix_input(columns: Sequence[FrameColumn]) -> model_pb2.TensorSpec:
    dtype = NUMBER if all(each.dtype == NUMBER for each in columns) else TEXT
    return model_pb2.TensorSpec(name=INPUT, dtype=dtype, shape=[-1, len(columns)])


def _texts(labels: Any) -> list[str]:
    return [str(label) for label in np.asarray(labels).tolist()]
