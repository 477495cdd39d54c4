"""Test vectors: sample inputs and the outputs that a model gave for them. Needs numpy only."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from aimass.catalog.v1 import model_pb2
from common.artifacts.protocol import ObjectStore
from common.errors import DataLossError
from common.models.store import TEST_VECTORS, read_part

Tensors = Mapping[str, npt.NDArray[np.generic]]
Predict = Callable[[Tensors], Tensors]

# Far above what another processor or library makes of the same weights, far below a wrong model.
RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-4

_INPUT, _OUTPUT, _TEXT = "input.", "output.", "text."


@dataclass(frozen=True)
class Vectors:
    """Sample inputs and expected outputs by name; the first axis is rows."""

    inputs: dict[str, npt.NDArray[np.generic]]
    outputs: dict[str, npt.NDArray[np.generic]]


def encode(vectors: Vectors) -> bytes:
    """Returns a safetensors file; texts, which that has not, are JSON in bytes.

    Object arrays may mix texts with numbers, truth values and None.
    """
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    for prefix, group in ((_INPUT, vectors.inputs), (_OUTPUT, vectors.outputs)):
        for name, values in group.items():
            if values.dtype.kind in "OSU":
                texts = values if values.dtype.kind == "O" else values.astype(str)
                text = json.dumps(texts.tolist(), default=str).encode()
                tensors[f"{_TEXT}{prefix}{name}"] = np.frombuffer(text, np.uint8)
            else:
                tensors[f"{prefix}{name}"] = np.ascontiguousarray(values)
    return safetensors.numpy.save(tensors)


def read_vectors(version: model_pb2.ModelVersion, store: ObjectStore) -> Vectors:
    """Returns the test vectors of a model version, their digest checked.

    Raises:
        FailedPreconditionError: The version has none.
        DataLossError: The file is damaged.
    """
    return decode(read_part(version, TEST_VECTORS, store), version.name)


def decode(content: bytes, name: str) -> Vectors:
    """Returns the test vectors in a file.

    Args:
        content: The file, as `encode` makes it.
        name: Of the model version, for the error.

    Raises:
        DataLossError: It holds none.
    """
    try:
        tensors = {
            key.removeprefix(_TEXT): _values(key, values)
            for key, values in safetensors.numpy.load(content).items()
        }
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise DataLossError(
            f"The file `{TEST_VECTORS}` of {name} holds no test vectors.", private=repr(error)
        ) from error
    return Vectors(_group(tensors, _INPUT), _group(tensors, _OUTPUT))


def replay(version: model_pb2.ModelVersion, vectors: Vectors, predict: Predict) -> None:
    """Checks that a model still gives the outputs of its test vectors.

    Args:
        version: The model version, for the error.
        vectors: Its test vectors.
        predict: Computes outputs from inputs.

    Raises:
        DataLossError: There are no vectors, or an output differs; names it.
    """
    if not vectors.inputs or not vectors.outputs:
        raise DataLossError(f"The file `{TEST_VECTORS}` of {version.name} holds no test vectors.")
    found = predict(vectors.inputs)
    for name, expected in vectors.outputs.items():
        problem = _difference(expected, found.get(name))
        if problem:
            raise DataLossError(
                f"{version.name} has changed: output `{name}` of its test vectors {problem}.",
                reason="TEST_VECTORS_DIFFER",
            )


def _values(name: str, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    if not name.startswith(_TEXT):
        return values
    return np.array(json.loads(values.tobytes()), dtype=object)


def _group(tensors: Tensors, prefix: str) -> dict[str, npt.NDArray[np.generic]]:
    return {
        name.removeprefix(prefix): values
        for name, values in tensors.items()
        if name.startswith(prefix)
    }


def _difference(expected: npt.NDArray[np.generic], found: npt.NDArray[np.generic] | None) -> str:
    """Says how an output differs; empty where it does not."""
    if found is None:
        return "is missing"
    if found.shape != expected.shape:
        return f"has the shape {found.shape}, not {expected.shape}"
    if expected.dtype.kind in "OSU":
        return "" if (found.astype(str) == expected.astype(str)).all() else "is another text"
    given, wanted = found.astype(np.float64), expected.astype(np.float64)
    if np.allclose(given, wanted, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE, equal_nan=True):
        return ""
    if (np.isnan(given) != np.isnan(wanted)).any():
        return "differs in where it is no number"
    return f"differs by up to {np.nanmax(np.abs(given - wanted)):.3g}"
