"""scikit-learn estimators in skops files. Imports skops and scikit-learn; nothing is unpickled."""

import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import skops.io
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from aimass.catalog.v1 import model_pb2
from common.artifacts.protocol import ObjectStore
from common.errors import InvalidFieldError
from common.models.store import read_part
from common.models.vectors import Tensors, read_vectors, replay

INPUT = "features"
PROBABILITIES = "probabilities"
PREDICTION = "prediction"

# Modules whose types skops does not trust by itself: parts of scikit-learn's own estimators that
# compute and do nothing else.
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
        "sklearn.metrics._dist_metrics",
        "sklearn.neighbors._ball_tree",
        "sklearn.neighbors._kd_tree",
        "sklearn.neural_network._stochastic_optimizers",
        "sklearn.tree._tree",
    }
)


@dataclass(frozen=True)
class SkopsModel:
    """A fitted classifier or regressor over a table of numbers.

    Attributes:
        estimator: The estimator or pipeline.
        signature: One input `features`, float64 [rows, features]; one output: `probabilities`, or
            `prediction`, which for a classifier without probabilities are positions in `classes`.
        columns: Names of the features, where the estimator knows them.
    """

    estimator: Any
    signature: model_pb2.Signature
    columns: tuple[str, ...]

    @property
    def is_classifier(self) -> bool:
        """Whether it predicts classes, as opposed to numbers."""
        return bool(is_classifier(self.estimator))

    def predict(self, inputs: Tensors) -> Tensors:
        """Returns the output by name."""
        features = inputs[INPUT]
        if self.signature.outputs[0].name == PROBABILITIES:
            return {PROBABILITIES: np.asarray(self.estimator.predict_proba(features))}
        found = np.asarray(self.estimator.predict(features))
        if self.is_classifier:
            return {PREDICTION: np.searchsorted(self.estimator.classes_, found)}
        return {PREDICTION: found.astype(np.float64)}


def open_skops(content: bytes, field: str) -> SkopsModel:
    """Checks the types in a skops file and loads it.

    Args:
        content: The file.
        field: Path of the field that it came from, for errors.

    Raises:
        InvalidFieldError: It is no skops file, holds types that are not on the list, or is no
            fitted classifier or regressor over numbers.
    """
    try:
        untrusted = skops.io.get_untrusted_types(data=content)
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise _bad(field, "is no skops file") from error
    foreign = sorted(name for name in untrusted if name.rpartition(".")[0] not in _MODULES)
    if foreign:
        raise _bad(
            field,
            f"holds the type {foreign[0]}, which is not loaded; use estimators and pipelines of "
            "scikit-learn alone",
        )
    try:
        estimator = skops.io.loads(content, trusted=untrusted)
    except Exception as error:  # What a damaged file makes scikit-learn raise has no common root.
        raise _bad(field, f"cannot be loaded: {type(error).__name__}: {error}") from error
    return SkopsModel(estimator, _signature(estimator, field), _columns(estimator))


def load_skops(store: ObjectStore, version: model_pb2.ModelVersion) -> SkopsModel:
    """Loads the skops file of a model version; digests are checked and test vectors replayed.

    Raises:
        FailedPreconditionError: The version has no skops file, or no test vectors.
        InvalidFieldError: See `open_skops`.
        DataLossError: A file is damaged, or the test vectors give other outputs; names which.
    """
    model = open_skops(read_part(version, "skops", store), version.name)
    replay(version, read_vectors(version, store), model.predict)
    return model


def _signature(estimator: Any, field: str) -> model_pb2.Signature:
    if not isinstance(estimator, BaseEstimator):
        raise _bad(field, f"holds a {type(estimator).__name__}, which is no estimator")
    if not (is_classifier(estimator) or is_regressor(estimator)):
        raise _bad(field, f"holds a {type(estimator).__name__}; import a classifier or a regressor")
    try:
        check_is_fitted(estimator)
        width = int(estimator.n_features_in_)
    except (NotFittedError, AttributeError, TypeError) as error:
        raise _bad(field, "is not fitted to a table of numbers; fit it before saving") from error
    labels = _labels(estimator, field) if is_classifier(estimator) else []
    features = model_pb2.TensorSpec(name=INPUT, dtype="float64", shape=[-1, width])
    return model_pb2.Signature(
        inputs=[features], outputs=[_output(estimator, len(labels))], classes=labels
    )


def _labels(estimator: Any, field: str) -> list[str]:
    classes = estimator.classes_
    if isinstance(classes, list):
        raise _bad(field, "predicts several targets; import a model of one target")
    return [str(label) for label in np.asarray(classes).tolist()]


def _output(estimator: Any, classes: int) -> model_pb2.TensorSpec:
    if classes and hasattr(estimator, "predict_proba"):
        return model_pb2.TensorSpec(name=PROBABILITIES, dtype="float64", shape=[-1, classes])
    dtype = "int64" if classes else "float64"
    return model_pb2.TensorSpec(name=PREDICTION, dtype=dtype, shape=[-1])


def _columns(estimator: Any) -> tuple[str, ...]:
    names: npt.NDArray[np.object_] | tuple[str, ...] = getattr(estimator, "feature_names_in_", ())
    return tuple(str(name) for name in names)


def _bad(field: str, description: str) -> InvalidFieldError:
    return InvalidFieldError(field, description, reason="BAD_MODEL")
