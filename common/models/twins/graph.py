"""A graph of ONNX operators under construction: numbers are float64 throughout. Imports onnx."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET, _TREES_OPSET, _IR = 18, 5, 9
TREES = "ai.onnx.ml"
_TYPES = {"float64": TensorProto.DOUBLE, "object": TensorProto.STRING}


class NoTwinError(Exception):
    """There is no ONNX model of an estimator; the message says why, as part of a sentence."""


class Graph:
    """Operators and constants. Tensors are told by their names."""

    def __init__(self, most_bytes: float = float("inf")) -> None:
        """Begins empty.

        Args:
            most_bytes: How large it may become.
        """
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._named: dict[bytes, str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._most_bytes = most_bytes
        self._bytes = 0

    def input(self, name: str, dtype: str) -> str:
        """Adds an input, a value for each row; `dtype` is `float64` or `object` for texts."""
        told = helper.make_tensor_value_info(name, _TYPES[dtype], ["rows"])
        self._inputs.append(told)
        return name

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        """Returns the name of a constant."""
        array = np.ascontiguousarray(values, dtype).reshape(np.shape(values))
        key = b"%r %r " % (array.dtype.str, array.shape) + array.tobytes()
        if key not in self._named:
            name = self._named[key] = f"constant_{len(self._constants)}"
            self._constants.append(numpy_helper.from_array(array, name))
            self._grow(array.nbytes)
        return self._named[key]

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Adds an operator with one output, and returns that."""
        return self.add_many(operator, *inputs, domain=domain, outputs=1, **attributes)[0]

    def add_many(
        self, operator: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Adds an operator with several outputs, and returns these."""
        found = [f"value_{len(self._nodes)}_{place}" for place in range(outputs)]
        node = helper.make_node(operator, inputs, found, domain=domain, **attributes)
        self._nodes.append(node)
        self._grow(node.ByteSize())
        return found

    def cast(self, tensor: str, kind: int = TensorProto.DOUBLE) -> str:
        """Returns a tensor as another type; float64 by default."""
        return self.add("Cast", tensor, to=kind)

    def text(self, value: str) -> str:
        """Returns the name of a constant that is a text."""
        key = b"text " + value.encode()
        if key not in self._named:
            name = self._named[key] = f"constant_{len(self._constants)}"
            kept = numpy_helper.from_array(np.array(value, object), name)
            self._constants.append(kept)
            self._grow(kept.ByteSize())
        return self._named[key]

    def ints(self, values: Sequence[int]) -> str:
        """Returns a constant of int64."""
        return self.constant(np.asarray(values, np.int64), np.int64)

    def columns(self, matrix: str, positions: Sequence[int]) -> str:
        """Returns some columns of a matrix."""
        return self.add("Gather", matrix, self.ints(positions), axis=1)

    def beside(self, matrices: Sequence[str]) -> str:
        """Returns matrices beside each other."""
        return matrices[0] if len(matrices) == 1 else self.add("Concat", *matrices, axis=1)

    def upright(self, vector: str) -> str:
        """Returns (rows,) as (rows, 1)."""
        return self.add("Unsqueeze", vector, self.ints([1]))

    def clipped(self, tensor: str, low: Any, high: Any) -> str:
        """Returns values within bounds, which are broadcast."""
        return self.add("Min", self.add("Max", tensor, self.constant(low)), self.constant(high))

    def mean(self, tensors: Sequence[str]) -> str:
        """Returns the mean of tensors of one shape."""
        if len(tensors) == 1:
            return tensors[0]
        return self.add("Div", self.add("Sum", *tensors), self.constant(float(len(tensors))))

    def weighted(self, tensors: Sequence[str], weights: Sequence[float]) -> str:
        """Returns the sum of tensors, each times its weight."""
        parts = [
            each if weight == 1 else self.add("Mul", each, self.constant(float(weight)))
            for each, weight in zip(tensors, weights, strict=True)
        ]
        return parts[0] if len(parts) == 1 else self.add("Sum", *parts)

    def model(self, output: str, name: str) -> bytes:
        """Returns the model whose only output is a tensor, under a name of its own."""
        self._nodes.append(helper.make_node("Identity", [output], [name]))
        told = helper.make_tensor_value_info(name, TensorProto.DOUBLE, None)
        graph = helper.make_graph(self._nodes, "model", self._inputs, [told], self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(TREES, _TREES_OPSET)]
        found = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
        content: bytes = onnx.shape_inference.infer_shapes(found).SerializeToString()
        return content

    def _grow(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self._most_bytes:
            raise NoTwinError(f"it would be larger than {self._most_bytes / 1e6:.0f} MB")


def tensor(values: npt.NDArray[Any], name: str = "") -> onnx.TensorProto:
    """Returns values as an attribute of an operator."""
    return numpy_helper.from_array(np.ascontiguousarray(values), name)
