"""Test vectors: what a model was, and whether it still is."""

import numpy as np
import pytest

from aimass.catalog.v1 import model_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.errors import DataLossError, FailedPreconditionError
from common.models.vectors import Tensors, Vectors, encode, read_vectors, replay

NUMBERS = np.array([0.5, 1.5, np.nan])
VECTORS = Vectors(
    {"x": np.arange(6.0).reshape(3, 2), "word": np.array(["a", "ü", ""], object)},
    {"y": NUMBERS, "name": np.array(["p", "q", "r"], object)},
)


def stored(content: bytes) -> tuple[model_pb2.ModelVersion, MemoryStore]:
    store = MemoryStore()
    version = model_pb2.ModelVersion(name="models/m/versions/1")
    version.artifacts["samples"].CopyFrom(put_artifact(store, "runs/s", content, "a/b"))
    return version, store


def test_numbers_and_texts_come_back() -> None:
    """Protects vectors of models that take or give texts, which safetensors does not have."""
    found = read_vectors(*stored(encode(VECTORS)))
    for mine, its in ((VECTORS.inputs, found.inputs), (VECTORS.outputs, found.outputs)):
        assert mine.keys() == its.keys()
        for name, values in mine.items():
            np.testing.assert_array_equal(values, its[name])


@pytest.mark.parametrize("content", [b"", b"nonsense", encode(Vectors({}, {}))])
def test_a_file_without_vectors_is_refused(content: bytes) -> None:
    """Protects the check itself: a model is not taken for checked by a file that checks nothing."""
    version, store = stored(content)
    with pytest.raises(DataLossError, match="holds no test vectors"):
        replay(version, read_vectors(version, store), lambda inputs: inputs)


def test_a_version_without_the_file_is_refused() -> None:
    """Protects the message: it names the file that is not there."""
    with pytest.raises(FailedPreconditionError, match="no file `samples`"):
        read_vectors(model_pb2.ModelVersion(name="m"), MemoryStore())


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        ({"y": NUMBERS + 1e-5}, ""),
        ({"y": NUMBERS + 0.01}, "`y` of its test vectors differs by up to 0.01"),
        ({"y": NUMBERS[:2]}, "shape"),
        ({"y": np.array([0.5, np.nan, 1.5])}, "differs"),
        ({"y": np.array([np.nan] * 3)}, "differs"),
        ({"name": np.array(["p", "q", "x"])}, "`name` of its test vectors is another text"),
        ({"name": None}, "`name` of its test vectors is missing"),
    ],
)
def test_what_differs_is_named(output: dict[str, np.ndarray | None], complaint: str) -> None:
    """Protects users of a model that is not what it was: refused by the name of the vector."""

    def predict(inputs: Tensors) -> Tensors:
        found = {**VECTORS.outputs, **output}
        return {name: values for name, values in found.items() if values is not None}

    version = model_pb2.ModelVersion(name="models/m/versions/1")
    if not complaint:
        replay(version, VECTORS, predict)
        return
    with pytest.raises(DataLossError, match=complaint):
        replay(version, VECTORS, predict)
