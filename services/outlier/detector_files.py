"""Fitted detectors as files of a model version, and back: arrays and typed configuration."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from google.protobuf import json_format

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.type.v1 import artifact_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.protocol import ObjectStore
from common.data.messages import schema_from_proto
from common.data.rows import RawRows, Values
from common.data.schema import LABEL_TYPES, ColumnType, Schema
from common.errors import AimassError, DataLossError
from common.models import vectors
from common.models.store import TEST_VECTORS, read_part
from services.outlier.domain.keeping import DamagedError, put_together, take_apart
from services.outlier.domain.kept import KeptDetector
from services.outlier.rows import coded

_ARRAYS = "detector"
_CONFIGURATION = "configuration"
_SCORES = "score"
_SAFETENSORS = "application/vnd.safetensors"
_JSON = "application/json"


@dataclass(frozen=True)
class LoadedDetector:
    """A detector that scores rows of messages.

    Attributes:
        detector: The detector.
        schema: Columns of the data set that it learned from.
    """

    detector: KeptDetector
    schema: Schema

    @property
    def columns(self) -> list[str]:
        """Names of the columns that it looks at."""
        return [column.name for column in self.detector.ensemble.preparation.columns]


def write_detector(
    store: ObjectStore,
    prefix: str,
    detector: KeptDetector,
    schema: dataset_pb2.Schema,
    sample: RawRows,
) -> dict[str, artifact_pb2.ArtifactRef]:
    """Writes a detector.

    Args:
        store: Where to.
        prefix: Begins the keys of its files, ends with `/`.
        detector: The detector.
        schema: Columns of the data set that it learned from.
        sample: Some rows for test vectors.

    Returns:
        The files by role.

    Raises:
        NotKeptError: It holds something that cannot be kept; says what.
    """
    arrays, plain = take_apart(detector)
    configuration = {"schema": json_format.MessageToDict(_light(schema)), "detector": plain}
    files = {
        _ARRAYS: (safetensors.numpy.save(arrays), _SAFETENSORS),
        _CONFIGURATION: (json.dumps(configuration).encode(), _JSON),
        TEST_VECTORS: (vectors.encode(_vectors(detector, sample)), _SAFETENSORS),
    }
    return {
        role: put_artifact(store, f"{prefix}{role}", content, media_type)
        for role, (content, media_type) in files.items()
    }


def read_detector(version: model_pb2.ModelVersion, store: ObjectStore) -> LoadedDetector:
    """Returns the detector of a model version; it still gives the scores of its test vectors.

    Raises:
        DataLossError: A file is damaged, or the scores differ.
        FailedPreconditionError: A file is not there.
    """
    try:
        arrays = safetensors.numpy.load(read_part(version, _ARRAYS, store))
        configuration = json.loads(read_part(version, _CONFIGURATION, store))
        detector = put_together(arrays, configuration["detector"], KeptDetector)
        message = json_format.ParseDict(configuration["schema"], dataset_pb2.Schema())
    except (DamagedError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise DataLossError(
            f"The detector {version.name} cannot be put together.", private=repr(error)
        ) from error
    loaded = LoadedDetector(detector, schema_from_proto(message))
    _replay(version, loaded, vectors.read_vectors(version, store))
    return loaded


def _replay(
    version: model_pb2.ModelVersion, loaded: LoadedDetector, samples: vectors.Vectors
) -> None:
    def predict(inputs: vectors.Tensors) -> vectors.Tensors:
        return _score(loaded.detector, _decoded(inputs, loaded.schema))

    try:
        vectors.replay(version, samples, predict)
    except AimassError:
        raise
    except Exception as error:  # parts that do not fit together may raise anything
        raise DataLossError(
            f"The detector {version.name} does not work.", private=repr(error)
        ) from error


def _light(schema: dataset_pb2.Schema) -> dataset_pb2.Schema:
    """Returns the columns without statistics."""
    columns = [
        dataset_pb2.ColumnSchema(
            name=each.name, type=each.type, shape=each.shape, categories=each.categories
        )
        for each in schema.columns
    ]
    return dataset_pb2.Schema(columns=columns, task=dataset_pb2.TASK_UNSUPERVISED)


def _vectors(detector: KeptDetector, sample: RawRows) -> vectors.Vectors:
    inputs = {name: _encoded(values, sample, name) for name, values in sample.columns.items()}
    return vectors.Vectors(inputs, _score(detector, sample))


def _score(detector: KeptDetector, raw: RawRows) -> dict[str, npt.NDArray[np.generic]]:
    return {_SCORES: detector.score(raw).scores}


def _encoded(values: Values, sample: RawRows, name: str) -> Values:
    """Returns labels instead of codes: others may count them otherwise."""
    if name not in sample.labels:
        return values
    labels = np.array([*sample.labels[name], None], object)
    found: Values = labels[values.astype(np.int64)]
    return found


def _decoded(inputs: Mapping[str, Values], schema: Schema) -> RawRows:
    columns, labels = dict(inputs), {}
    for name, values in inputs.items():
        kind = schema.column(name).type
        if kind in LABEL_TYPES:
            columns[name], labels[name] = coded(values)
        elif kind is ColumnType.TEXT:
            columns[name] = values.astype(object)
    return RawRows(columns, labels)
