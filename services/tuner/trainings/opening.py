"""From a network that was trained to an estimator over the rows of a search."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import model_pb2
from common.artifacts import ObjectStore
from common.models.estimators.onnx_network import OnnxClassifier, OnnxRegressor
from common.models.store import read_part, read_preprocessing
from services.tuner.domain.families.family import outputs_of
from services.tuner.domain.problem import Outputs, Positions, Problem

Network = OnnxClassifier | OnnxRegressor


def opened(version: model_pb2.ModelVersion, store: ObjectStore, problem: Problem) -> Network:
    """Returns the estimator of a model version that the trainer made.

    Args:
        version: With its ONNX file.
        store: Where that is.
        problem: What it predicts, with its pictures as they are.

    Raises:
        DataLossError: A file is damaged.
    """
    known = read_preprocessing(version, store)
    content = read_part(version, "onnx", store)
    names: Sequence[str] = list(problem.features.columns)
    text = "" if known.text is None else known.text.model_dump_json()
    numbers = [each.name for each in known.numeric]
    categories: Mapping[str, Sequence[str]] = {each.name: each.labels for each in known.categorical}
    picture = None if known.image is None else (known.image.name, known.image.shape)
    if not problem.kind.has_classes:
        return OnnxRegressor.of(
            content, names, numbers=numbers, categories=categories, picture=picture, text=text
        )
    return OnnxClassifier.of(
        content,
        names,
        known.target.classes,
        problem.outputs,
        numbers=numbers,
        categories=categories,
        picture=picture,
        text=text,
    )


def outputs_for(network: Network, problem: Problem, rows: Positions) -> Outputs | None:
    """Returns what a network says of some rows, (rows, outputs); None where that is no number."""
    found: npt.NDArray[np.float64] = outputs_of(network, problem.features.iloc[rows], problem)
    return found if np.isfinite(found).all() else None
