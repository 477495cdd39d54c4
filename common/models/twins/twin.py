"""The ONNX twin of a blend: a model that says the same, for whoever has no Python."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.models.frames import NUMBER, TEXT, FrameColumn
from common.models.onnx_session import onnx_session
from common.models.twins.blends import blended
from common.models.twins.graph import Graph, NoTwinError

TOLERANCE = 1e-4
"""Of probabilities, and of values beside their spread."""

Inputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Bounds:
    """What making a twin may cost.

    Attributes:
        seconds: All in all.
        bytes: Size of the twin.
    """

    seconds: float = 10.0
    bytes: float = 64e6


@dataclass(frozen=True)
class OnnxTwin:
    """A twin that agrees.

    Attributes:
        content: The file.
        error: By how much its outputs differ at most.
    """

    content: bytes
    error: float


def twin_of(
    blend: Any,
    columns: tuple[FrameColumn, ...],
    output: str,
    inputs: Inputs,
    expected: npt.NDArray[np.float64],
    bounds: Bounds,
) -> OnnxTwin:
    """Returns an ONNX model that takes and gives what a blend does.

    Its inputs are the columns by name, a value for each row; a missing text is an empty one.

    Args:
        blend: The model.
        columns: What it takes.
        output: Name of its output.
        inputs: Rows to compare it with the blend on, by column.
        expected: What the blend says of these.
        bounds: What it may cost.

    Raises:
        NoTwinError: There is none, or it says something else; says why.
    """
    end = time.monotonic() + bounds.seconds

    def check() -> None:
        if time.monotonic() > end:
            raise NoTwinError(f"making it takes more than {bounds.seconds:.1f} s")

    graph = Graph(bounds.bytes)
    strange = [each.name for each in columns if each.dtype not in (NUMBER, TEXT)]
    if strange:
        raise NoTwinError(f"`{strange[0]}` is neither a number nor a category")
    frame = {each.name: graph.input(each.name, each.dtype) for each in columns}
    found = blended(graph, blend, frame, check)
    if expected.ndim == 1:
        found = graph.add("Squeeze", found, graph.ints([1]))
    content = graph.model(found, output)
    check()
    error = _compared(content, output, inputs, expected)
    check()
    return OnnxTwin(content, error)


def fed(inputs: Inputs) -> dict[str, npt.NDArray[Any]]:
    """Returns rows as a twin takes them: ONNX has no missing texts."""
    return {
        name: np.array(["" if each is None else str(each) for each in values], object)
        if values.dtype.kind == "O"
        else values
        for name, values in inputs.items()
    }


def _compared(
    content: bytes, output: str, inputs: Inputs, expected: npt.NDArray[np.float64]
) -> float:
    """Returns by how much a twin differs at most."""
    try:
        session = onnx_session(content)
        taken = {each.name for each in session.get_inputs()}
        given = {name: each for name, each in fed(inputs).items() if name in taken}
        [found] = session.run([output], given)
    except Exception as error:  # onnxruntime's own exceptions have no common root.
        first = str(error).strip().partition("\n")[0][:200]
        raise NoTwinError(f"ONNX Runtime cannot run it: {first}") from error
    values = np.asarray(found, np.float64)
    if values.shape != expected.shape:
        raise NoTwinError(f"its outputs have the shape {values.shape}, not {expected.shape}")
    off = float(np.abs(values - expected).max(initial=0.0))
    scale = 1.0 if expected.ndim > 1 else max(float(np.std(expected)), 1e-300)
    if not off <= TOLERANCE * scale:
        raise NoTwinError(f"it differs by up to {off:.2g} on {len(expected)} rows")
    return off
