"""Transformers of scikit-learn within models as ONNX operators."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.preprocessing import Binarizer, MinMaxScaler, PolynomialFeatures, StandardScaler

from common.models.twins.graph import Graph, NoTwinError
from common.models.twins.kernels import gaussian_kernel


def step(graph: Graph, part: Any, matrix: str) -> str:
    """Returns what a fitted transformer makes of a matrix."""
    convert = _STEPS.get(type(part))
    if convert is None:
        raise NoTwinError(f"{type(part).__name__} has no counterpart")
    return convert(graph, part, matrix)


def target_scaled(graph: Graph, part: Any, values: str) -> str:
    """Returns values of a scaled target on its own scale."""
    if not isinstance(part, StandardScaler):
        raise NoTwinError(f"a target through {type(part).__name__} has no counterpart")
    raised = graph.add("Mul", values, graph.constant(part.scale_[None]))
    return graph.add("Add", raised, graph.constant(part.mean_[None]))


def _standard(graph: Graph, part: Any, matrix: str) -> str:
    if part.with_mean:
        matrix = graph.add("Sub", matrix, graph.constant(part.mean_[None]))
    return graph.add("Div", matrix, graph.constant(part.scale_[None]))


def _range(graph: Graph, part: Any, matrix: str) -> str:
    scaled = graph.add("Mul", matrix, graph.constant(part.scale_[None]))
    found = graph.add("Add", scaled, graph.constant(part.min_[None]))
    return graph.clipped(found, *map(float, part.feature_range)) if part.clip else found


def _binary(graph: Graph, part: Any, matrix: str) -> str:
    return graph.cast(graph.add("Greater", matrix, graph.constant(float(part.threshold))))


def _products(graph: Graph, part: Any, matrix: str) -> str:
    """Returns the columns, and the products of any two."""
    powers = part.powers_
    if part.degree != 2 or part.include_bias or (powers.sum(axis=1) > 2).any():
        raise NoTwinError("products of more than two columns have no counterpart")
    pairs = np.array([np.repeat(np.arange(len(row)), row) for row in powers if row.sum() == 2])
    left, right = (graph.columns(matrix, side.tolist()) for side in pairs.T)
    return graph.beside([matrix, graph.add("Mul", left, right)])


def _landmarks(graph: Graph, part: Any, matrix: str) -> str:
    if part.kernel != "rbf":
        raise NoTwinError(f"a kernel `{part.kernel}` has no counterpart")
    near = gaussian_kernel(graph, matrix, part.components_, float(part.gamma))
    return graph.add("MatMul", near, graph.constant(part.normalization_.T))


_STEPS: Mapping[type, Callable[[Graph, Any, str], str]] = MappingProxyType(
    {
        StandardScaler: _standard,
        MinMaxScaler: _range,
        Binarizer: _binary,
        PolynomialFeatures: _products,
        Nystroem: _landmarks,
    }
)
