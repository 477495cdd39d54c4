"""Nearest neighbours as ONNX operators."""

from typing import Any

import numpy as np
from scipy.sparse import issparse

from common.models.estimators.neighbours import Neighbours
from common.models.twins.graph import Graph, NoTwinError
from common.models.twins.kernels import squared_distances

_NEAREST, _LEAST_SMOOTHING, _LEAST = 0.01, 1e-9, 1e-12


def neighbours(graph: Graph, model: Neighbours, matrix: str) -> str:
    """Returns the weighted means of what the nearest rows have, (rows, values)."""
    count = int(model.search_.n_neighbors)
    far = _distances(graph, model, matrix)
    nearest, rows = graph.add_many(
        "TopK", far, graph.ints([count]), outputs=2, axis=1, largest=0, sorted=1
    )
    own = graph.add("Gather", graph.constant(np.asarray(model.weights_)), rows, axis=0)
    weights = own
    if model.weighting == "distance":
        weights = graph.add("Mul", _closeness(graph, nearest, count), own)
    values = graph.add("Gather", graph.constant(np.asarray(model.values_)), rows, axis=0)
    axes = graph.ints([1])
    weighted = graph.add("Mul", graph.add("Unsqueeze", weights, graph.ints([2])), values)
    found = graph.add("ReduceSum", weighted, axes, keepdims=0)
    more = max(float(model.smoothing), _LEAST_SMOOTHING)
    prior = graph.constant(more * np.atleast_1d(model.prior_)[None])
    total = graph.add("ReduceSum", weights, axes, keepdims=1)
    return graph.add(
        "Div", graph.add("Add", found, prior), graph.add("Add", total, graph.constant(more))
    )


def _distances(graph: Graph, model: Neighbours, matrix: str) -> str:
    kept = model.search_._fit_X
    known: Any = np.asarray(kept.toarray() if issparse(kept) else kept, np.float64)
    if model.metric == "euclidean":
        return graph.add("Sqrt", squared_distances(graph, matrix, known))
    if model.metric != "cosine":
        raise NoTwinError(f"neighbours by {model.metric} distance have no counterpart")
    lengths = np.linalg.norm(known, axis=1, keepdims=True)
    unit = known / np.where(lengths > 0, lengths, 1.0)
    own = graph.add("ReduceL2", matrix, graph.ints([1]), keepdims=1)
    is_none = graph.add("Equal", own, graph.constant(0.0))
    safe = graph.add("Where", is_none, graph.constant(1.0), own)
    alike = graph.add("MatMul", graph.add("Div", matrix, safe), graph.constant(unit.T))
    return graph.clipped(graph.add("Sub", graph.constant(1.0), alike), 0.0, 2.0)


def _closeness(graph: Graph, nearest: str, count: int) -> str:
    """Returns weights of neighbours, 1 on average."""
    last = graph.columns(nearest, [count - 1])
    farthest = graph.add("Max", last, graph.constant(_LEAST))
    share = graph.add("Add", graph.add("Div", nearest, farthest), graph.constant(_NEAREST))
    close = graph.add("Reciprocal", share)
    mean = graph.add("ReduceMean", close, graph.ints([1]), keepdims=1)
    return graph.add("Div", close, mean)
