"""Blends and what they are made of as ONNX operators."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from onnx import TensorProto
from sklearn.pipeline import Pipeline

from common.models.estimators.blending import BlendedClassifier, BlendedRegressor, BlendGroup
from common.models.estimators.combining import (
    SMALLEST_PROBABILITY,
    Doubted,
    Mean,
    ScaledScores,
    Shifted,
    Steps,
)
from common.models.estimators.fewer_columns import FewerColumnsClassifier, FewerColumnsRegressor
from common.models.estimators.filled_columns import FilledColumnsClassifier, FilledColumnsRegressor
from common.models.estimators.stacking import StackedClassifier, StackedRegressor
from common.models.twins.graph import Graph, NoTwinError
from common.models.twins.models import outputs
from common.models.twins.numbers import piecewise
from common.models.twins.steps import step
from common.models.twins.tables import Frame, prepared

_LARGEST_SCORE = 8.0

Blend = BlendedClassifier | BlendedRegressor
_Fewer = FewerColumnsClassifier | FewerColumnsRegressor
_Filled = FilledColumnsClassifier | FilledColumnsRegressor


def blended(graph: Graph, blend: Any, frame: Frame, check: Callable[[], None]) -> str:
    """Returns probabilities, (rows, classes or labels), or values (rows, 1).

    Args:
        graph: Grows.
        blend: The model.
        frame: Tensors of its columns.
        check: Called for each estimator; may raise to stop.
    """
    if isinstance(blend, _Fewer):
        return blended(graph, blend.estimator_, frame, check)
    if isinstance(blend, _Filled):
        return blended(graph, blend.estimator_, _filled(graph, blend, frame), check)
    if not isinstance(blend, Blend):
        raise NoTwinError(f"{type(blend).__name__} takes what ONNX has no operators for")
    width = len(blend.classes_) if isinstance(blend, BlendedClassifier) else 1
    groups = [each for each in blend.estimators_ if each.weight]
    found = [_group(graph, each, frame, width, check) for each in groups]
    mean = Mean(blend.mean_)
    combined = _combined(graph, found, [each.weight for each in groups], mean)
    if blend.calibration_ is None:
        return combined
    return _calibrated(graph, blend.calibration_, combined)


def _filled(graph: Graph, model: Any, frame: Frame) -> Frame:
    """Returns the columns of a frame, and those that typical values stand in for."""
    if not frame:
        raise NoTwinError("there are no columns")
    shape = graph.add("Shape", next(iter(frame.values())))
    fillers = {
        name: graph.add("Expand", _filler(graph, name, value), shape)
        for name, value in model.fillers_.items()
    }
    return {**fillers, **frame}


def _filler(graph: Graph, name: str, value: Any) -> str:
    if isinstance(value, bool):
        raise NoTwinError(f"`{name}` is neither a number nor a category")
    # A missing text is an empty one.
    return graph.constant(value) if isinstance(value, float) else graph.text(value or "")


def _group(
    graph: Graph, group: BlendGroup, frame: Frame, width: int, check: Callable[[], None]
) -> str:
    found = []
    for each in group.estimators_:
        check()
        found.append(_estimator(graph, each, frame, width, check))
    return graph.mean(found)


def _estimator(
    graph: Graph, estimator: Any, frame: Frame, width: int, check: Callable[[], None]
) -> str:
    """Returns the outputs of an estimator, (rows, width), 0 for classes it has not seen."""
    if isinstance(estimator, StackedClassifier | StackedRegressor):
        return _stacked(graph, estimator, frame, width, check)
    if not isinstance(estimator, Pipeline):
        raise NoTwinError(f"{type(estimator).__name__} has no counterpart")
    matrix = prepared(graph, estimator.steps[0][1], frame)
    for _, each in estimator.steps[1:-1]:
        matrix = step(graph, each, matrix)
    found = outputs(graph, estimator.steps[-1][1], matrix)
    return _placed(graph, found, getattr(estimator, "classes_", None), width)


def _placed(graph: Graph, found: str, known: Any, width: int) -> str:
    if known is None or isinstance(known, list) or len(known) == width:
        return found
    places = np.zeros((len(known), width))
    places[np.arange(len(known)), np.asarray(known, np.int64)] = 1.0
    return graph.add("MatMul", found, graph.constant(places))


def _stacked(
    graph: Graph, estimator: Any, frame: Frame, width: int, check: Callable[[], None]
) -> str:
    mean = Mean(estimator.mean_)
    wide = dict(frame)
    for number, each in enumerate(estimator.estimators_):
        scores = _stack_scores(
            graph, _group(graph, each, frame, estimator.width_, check), mean, width
        )
        for position in range(width if not (mean is Mean.LOGITS and width == 2) else 1):
            column = graph.columns(scores, [position])
            squeezed = graph.add("Squeeze", column, graph.ints([1]))
            wide[f"__base_{number}_{position}"] = squeezed
    return _estimator(graph, estimator.final_, wide, width, check)


def _stack_scores(graph: Graph, found: str, mean: Mean, width: int) -> str:
    """Returns what outputs of base models are to those that learn from them."""
    if mean is Mean.PLAIN:
        return found
    scores = _scores(graph, found, mean)
    if mean is Mean.LOGITS and width == 2:
        scores = graph.add("Sub", graph.columns(scores, [1]), graph.columns(scores, [0]))
    elif mean is Mean.LOGITS:
        middle = graph.add("ReduceMean", scores, graph.ints([1]), keepdims=1)
        scores = graph.add("Sub", scores, middle)
    return graph.clipped(scores, -_LARGEST_SCORE, _LARGEST_SCORE)


def _combined(graph: Graph, found: Sequence[str], weights: Sequence[float], mean: Mean) -> str:
    """See `common.models.estimators.combining.combined`."""
    if mean is Mean.MEDIAN:
        return _median(graph, found, weights)
    if mean is Mean.PLAIN:
        total = sum(weights)
        return graph.weighted(found, [each / total for each in weights])
    scores = [_scores(graph, each, mean) for each in found]
    return _probabilities(graph, graph.weighted(scores, weights), mean)


def _scores(graph: Graph, probabilities: str, mean: Mean) -> str:
    least = graph.constant(SMALLEST_PROBABILITY)
    logs = graph.add("Log", graph.add("Max", probabilities, least))
    if mean is not Mean.ODDS:
        return logs
    rest = graph.add("Sub", graph.constant(1.0), probabilities)
    return graph.add("Sub", logs, graph.add("Log", graph.add("Max", rest, least)))


def _probabilities(graph: Graph, scores: str, mean: Mean) -> str:
    if mean is Mean.ODDS:
        return graph.add("Sigmoid", scores)
    return graph.add("Softmax", scores, axis=1)


def _median(graph: Graph, found: Sequence[str], weights: Sequence[float]) -> str:
    first = graph.ints([0])
    stacked = graph.add("Concat", *(graph.add("Unsqueeze", each, first) for each in found), axis=0)
    count = graph.ints([len(found)])
    ascending, order = graph.add_many(
        "TopK", stacked, count, outputs=2, axis=0, largest=0, sorted=1
    )
    share = graph.constant(np.asarray(weights) / sum(weights))
    own = graph.add("Gather", share, order, axis=0)
    passed = graph.add("CumSum", own, graph.constant(0, np.int64))
    middle = []
    for operator, bound in (("GreaterOrEqual", 0.5 - 1e-9), ("Greater", 0.5 + 1e-9)):
        is_passed = graph.add(operator, passed, graph.constant(bound))
        place = graph.add("ArgMax", graph.cast(is_passed, TensorProto.INT32), axis=0, keepdims=1)
        middle.append(graph.add("GatherElements", ascending, place, axis=0))
    return graph.add("Squeeze", graph.mean(middle), first)


def _calibrated(graph: Graph, calibration: Any, found: str) -> str:
    convert = _CALIBRATIONS.get(type(calibration))
    if convert is None:
        raise NoTwinError(f"a calibration by {type(calibration).__name__} has no counterpart")
    return convert(graph, calibration, found)


def _scaled_scores(graph: Graph, calibration: Any, found: str) -> str:
    mean = Mean(calibration.mean)
    scores = graph.add("Mul", _scores(graph, found, mean), graph.constant(calibration.scales[None]))
    scores = graph.add("Add", scores, graph.constant(calibration.offsets[None]))
    return _probabilities(graph, scores, mean)


def _steps(graph: Graph, calibration: Any, found: str) -> str:
    second = piecewise(graph, graph.columns(found, [1]), calibration.before, calibration.after)
    return graph.beside([graph.add("Sub", graph.constant(1.0), second), second])


def _doubted(graph: Graph, calibration: Any, found: str) -> str:
    first = calibration.first
    sure = found if first is None else _calibrated(graph, first, found)
    kept = graph.add("Mul", sure, graph.constant(1 - calibration.share))
    return graph.add("Add", kept, graph.constant(calibration.share * calibration.prior[None]))


def _shifted(graph: Graph, calibration: Any, found: str) -> str:
    return graph.add("Add", found, graph.constant(float(calibration.shift)))


_CALIBRATIONS: Mapping[type, Callable[[Graph, Any, str], str]] = MappingProxyType(
    {ScaledScores: _scaled_scores, Steps: _steps, Doubted: _doubted, Shifted: _shifted}
)
