"""Scaling of numbers as ONNX operators."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.models.estimators.number_scaler import NumberScaler
from common.models.twins.graph import Graph

_TAIL = 1e-3


def scaled(graph: Graph, part: NumberScaler, taken: str) -> str:
    """Returns scaled numbers and indicators of gaps, of the columns that are kept."""
    is_gap = graph.add("IsNaN", taken)
    filled = graph.add("Where", is_gap, graph.constant(part.fill_[None]), taken)
    filled = graph.clipped(filled, part.low_[None], part.high_[None])
    centred = graph.add("Sub", filled, graph.constant(part.centre_[None]))
    found = graph.add("Div", centred, graph.constant(part.scale_[None]))
    if part.curved_:
        found = _curved(graph, part, filled, found)
    if not len(part.marked_):
        return found
    marks = graph.columns(graph.cast(is_gap), part.marked_.tolist())
    return graph.beside([found, marks])


def _curved(graph: Graph, part: NumberScaler, filled: str, found: str) -> str:
    """Puts the columns in place that are brought to quantiles."""
    width = len(part.kept_)
    curved = {
        column: _normal(graph, graph.columns(filled, [column]), knots)
        for column, knots in zip(part.curved_, part.knots_, strict=True)
    }
    columns = [curved.get(each) or graph.columns(found, [each]) for each in range(width)]
    return graph.beside(columns)


def _normal(graph: Graph, column: str, knots: npt.NDArray[np.float64]) -> str:
    """Returns values by their rank among the knots, as if that were normal."""
    shares = np.linspace(0, 1, len(knots))
    values, first = np.unique(knots, return_index=True)
    last = np.append(first[1:], len(knots)) - 1
    # Straight between different knots; where several are equal, to their middle and on from it.
    rises = shares[first[1:]] - shares[last[:-1]]
    rank = _straight(graph, column, values, rises)
    jumps = shares[last] - shares[first]
    if jumps.any():
        rank = graph.add("Add", rank, _steps(graph, column, values[jumps > 0], jumps[jumps > 0]))
    rank = graph.clipped(rank, [[_TAIL]], [[1 - _TAIL]])
    return _quantile(graph, rank)


def piecewise(
    graph: Graph, column: str, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
) -> str:
    """Returns what `numpy.interp` does for values that ascend; at equal ones it takes the last."""
    values, first = np.unique(before, return_index=True)
    last = np.append(first[1:], len(before)) - 1
    found = graph.constant([[float(after[0])]])
    if len(values) > 1:
        rises = after[first[1:]] - after[last[:-1]]
        found = graph.add("Add", _straight(graph, column, values, rises), found)
    jumps = after[last] - after[first]
    if jumps.any():
        reached = graph.add("GreaterOrEqual", column, graph.constant(values[None]))
        jumped = graph.add("MatMul", graph.cast(reached), graph.constant(jumps[:, None]))
        found = graph.add("Add", found, jumped)
    return found


def _straight(
    graph: Graph,
    column: str,
    values: npt.NDArray[np.float64],
    rises: npt.NDArray[np.float64],
) -> str:
    """Returns the function that rises by so much from each value to the next one, from 0."""
    offset = graph.add("Sub", column, graph.constant(values[None, :-1]))
    parts = graph.add("Mul", offset, graph.constant(1 / np.diff(values)[None]))
    parts = graph.clipped(parts, [[0.0]], [[1.0]])
    return graph.add("MatMul", parts, graph.constant(rises[:, None]))


def _steps(graph: Graph, column: str, values: Sequence[float], jumps: Sequence[float]) -> str:
    """Returns the function that jumps at values, half way when it is there."""
    at = graph.constant(np.asarray(values)[None])
    reached = graph.cast(graph.add("GreaterOrEqual", column, at))
    passed = graph.cast(graph.add("Greater", column, at))
    both = graph.add("Add", reached, passed)
    return graph.add("MatMul", both, graph.constant(np.asarray(jumps)[:, None] / 2))


def _quantile(graph: Graph, rank: str) -> str:
    """Returns the quantile of the normal distribution, within the tails (Wichura 1988, AS 241)."""
    centre = graph.add("Sub", rank, graph.constant(0.5))
    square = graph.add("Mul", centre, centre)
    inner = graph.add("Sub", graph.constant(0.180625), square)
    middle = graph.add("Mul", centre, _ratio(graph, inner, _A, _B))
    tail = graph.add("Min", rank, graph.add("Sub", graph.constant(1.0), rank))
    depth = graph.add("Sqrt", graph.add("Neg", graph.add("Log", tail)))
    outer = _ratio(graph, graph.add("Sub", depth, graph.constant(1.6)), _C, _D)
    outer = graph.add("Mul", outer, graph.add("Sign", centre))
    is_middle = graph.add("LessOrEqual", graph.add("Abs", centre), graph.constant(0.425))
    return graph.add("Where", is_middle, middle, outer)


def _ratio(graph: Graph, at: str, above: Sequence[float], below: Sequence[float]) -> str:
    return graph.add("Div", _polynomial(graph, at, above), _polynomial(graph, at, below))


def _polynomial(graph: Graph, at: str, factors: Sequence[float]) -> str:
    """Returns a polynomial whose factors are told from the constant one on (Horner)."""
    found = graph.constant(factors[-1])
    for each in reversed(factors[:-1]):
        found = graph.add("Add", graph.add("Mul", found, at), graph.constant(each))
    return found


_A = (
    3.3871328727963666080,
    1.3314166789178437745e2,
    1.9715909503065514427e3,
    1.3731693765509461125e4,
    4.5921953931549871457e4,
    6.7265770927008700853e4,
    3.3430575583588128105e4,
    2.5090809287301226727e3,
)
_B = (
    1.0,
    4.2313330701600911252e1,
    6.8718700749205790830e2,
    5.3941960214247511077e3,
    2.1213794301586595867e4,
    3.9307895800092710610e4,
    2.8729085735721942674e4,
    5.2264952788528545610e3,
)
_C = (
    1.42343711074968357734,
    4.63033784615654529590,
    5.76949722146069140550,
    3.64784832476320460504,
    1.27045825245236838258,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
)
_D = (
    1.0,
    2.05319162663775882187,
    1.67638483018380384940,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
)
