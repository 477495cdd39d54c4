"""Kernels as ONNX operators: support vectors, Gaussian processes."""

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, Product

from common.models.twins.graph import Graph, NoTwinError

Floats = npt.NDArray[np.float64]


def squared_distances(graph: Graph, matrix: str, rows: Any) -> str:
    """Returns the squared distances of all rows from some that are known, (rows, known)."""
    known = np.asarray(rows.toarray() if issparse(rows) else rows, np.float64)
    own = graph.add("ReduceSum", graph.add("Mul", matrix, matrix), graph.ints([1]), keepdims=1)
    crossed = graph.add("MatMul", matrix, graph.constant(-2 * known.T))
    theirs = graph.constant((known**2).sum(axis=1)[None])
    return graph.add("Max", graph.add("Sum", own, crossed, theirs), graph.constant(0.0))


def gaussian_kernel(graph: Graph, matrix: str, rows: Any, gamma: float) -> str:
    """Returns how near all rows are to some that are known, 0 to 1."""
    far = squared_distances(graph, matrix, rows)
    return graph.add("Exp", graph.add("Mul", far, graph.constant(-gamma)))


def support_scores(graph: Graph, model: Any, matrix: str) -> str:
    """Returns what a support vector machine says, of two classes or values (rows, 1)."""
    if model.kernel != "rbf":
        raise NoTwinError(f"a kernel `{model.kernel}` has no counterpart")
    near = gaussian_kernel(graph, matrix, model.support_vectors_, float(model._gamma))
    factors = model.dual_coef_.toarray() if issparse(model.dual_coef_) else model.dual_coef_
    classes = getattr(model, "classes_", ())
    if len(classes) > 2:
        return _votes(graph, near, np.asarray(factors), model)
    found = graph.add("MatMul", near, graph.constant(np.asarray(factors).T))
    return graph.add("Add", found, graph.constant(np.asarray(model.intercept_)[None]))


def _votes(graph: Graph, near: str, factors: Floats, model: Any) -> str:
    """Returns votes of all pairs of classes, with how sure they are, as scikit-learn counts."""
    count = len(model.classes_)
    starts = np.cumsum([0, *model.n_support_])
    pairs = list(combinations(range(count), 2))
    weights = np.zeros((factors.shape[1], len(pairs)))
    signs = np.zeros((len(pairs), count))
    for place, (first, second) in enumerate(pairs):
        own, other = (slice(starts[each], starts[each + 1]) for each in (first, second))
        weights[own, place] = factors[second - 1, own]
        weights[other, place] = factors[first, other]
        signs[place, first], signs[place, second] = 1, -1
    found = graph.add("MatMul", near, graph.constant(weights))
    found = graph.add("Add", found, graph.constant(np.asarray(model.intercept_)[None]))
    sure = graph.add("MatMul", found, graph.constant(signs))
    second_wins = graph.cast(graph.add("Less", found, graph.constant(0.0)))
    first_wins = graph.add("Sub", graph.constant(1.0), second_wins)
    votes = graph.add(
        "Add",
        graph.add("MatMul", first_wins, graph.constant(np.maximum(signs, 0))),
        graph.add("MatMul", second_wins, graph.constant(np.maximum(-signs, 0))),
    )
    size = graph.add("Add", graph.add("Abs", sure), graph.constant(1.0))
    bounded = graph.add("Div", sure, graph.add("Mul", size, graph.constant(3.0)))
    return graph.add("Add", votes, bounded)


def gaussian_process(graph: Graph, model: Any, matrix: str) -> str:
    """Returns the means of a Gaussian process, (rows, 1)."""
    kernel = model.kernel_
    if not (isinstance(kernel, Product) and isinstance(kernel.k1, ConstantKernel)):
        raise NoTwinError("its kernel has no counterpart")
    lengths = np.atleast_1d(kernel.k2.length_scale)[None]
    scaled = graph.add("Div", matrix, graph.constant(lengths))
    far = squared_distances(graph, scaled, model.X_train_ / lengths)
    near = _nearness(graph, kernel.k2, far)
    factors = float(kernel.k1.constant_value) * np.asarray(model.alpha_).reshape(-1, 1)
    found = graph.add("MatMul", near, graph.constant(factors))
    scale, mean = (float(np.squeeze(each)) for each in (model._y_train_std, model._y_train_mean))
    return graph.add("Add", graph.add("Mul", found, graph.constant(scale)), graph.constant(mean))


def _nearness(graph: Graph, kernel: Any, far: str) -> str:
    """Returns a kernel of squared distances, which are scaled."""
    if isinstance(kernel, Matern) and kernel.nu in (1.5, 2.5):
        root = graph.add("Sqrt", graph.add("Mul", far, graph.constant(2 * float(kernel.nu))))
        factor = graph.add("Add", root, graph.constant(1.0))
        if kernel.nu == 2.5:
            third = graph.add("Div", graph.add("Mul", root, root), graph.constant(3.0))
            factor = graph.add("Add", factor, third)
        return graph.add("Mul", factor, graph.add("Exp", graph.add("Neg", root)))
    if isinstance(kernel, RBF) and not isinstance(kernel, Matern):
        return graph.add("Exp", graph.add("Mul", far, graph.constant(-0.5)))
    raise NoTwinError(f"a kernel {type(kernel).__name__} has no counterpart")
