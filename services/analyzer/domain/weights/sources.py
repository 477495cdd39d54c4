"""Where the weights of a model are: tensors of each format, and trees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from services.analyzer.domain.layers import onnx_file
from services.analyzer.domain.models.foreign import OnnxAnalysed, SklearnAnalysed
from services.analyzer.domain.models.model import AnalysedModel
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.structure.estimators import Step, steps_of
from services.analyzer.domain.structure.trees import Tree, onnx_trees, trees_of
from services.analyzer.domain.weights.findings import WeightKind
from services.analyzer.domain.weights.tensors import StoredTensor, array_tensor, safetensors_of

_LEAST_ATTRIBUTES = 2
_DIFFERENT_COLUMNS = (
    "Trees of several steps take different columns, which are counted by their place in each."
)
_SPARED = ("nodes_", "class_", "target_", "leaf_")  # attributes of trees
_ONNX_FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16}
)
# Attributes of fitted estimators with the axis of their units.
_COEFFICIENTS = {"coef_": 0, "components_": 0, "feature_log_prob_": 0, "theta_": 0}


@dataclass
class Sources:
    """Weights of a model.

    Attributes:
        tensors: Tensors in order.
        trees: Trees.
        columns: Names of the columns that go into the trees.
        notes: What stands in, one sentence each.
        arrays: Scikit-learn alone: arrays that the estimator computes with, by name of the tensor.
    """

    tensors: list[StoredTensor] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    columns: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    arrays: dict[str, Any] = field(default_factory=dict)


def sources_of(model: AnalysedModel) -> Sources:
    """Returns the weights of a model; of a torch package they are not loaded yet."""
    if isinstance(model, TorchPackage):
        return Sources(tensors=safetensors_of(model.weights))
    if isinstance(model, OnnxAnalysed):
        return _onnx_sources(model)
    assert isinstance(model, SklearnAnalysed)
    return _estimator_sources(model)


def _onnx_sources(model: OnnxAnalysed) -> Sources:
    file = onnx_file(model)
    found = Sources()
    users = _users(file.graph)
    for initializer in file.graph.initializer:
        if initializer.data_type in _ONNX_FLOATS:
            values = numpy_helper.to_array(initializer)
            found.tensors.append(_initializer(initializer.name, values, users))
    for node in file.graph.node:
        found.tensors += _attributes(node)
        found.trees += onnx_trees(node)
    found.columns = _numbered_columns(found.trees)
    return found


def _users(graph: onnx.GraphProto) -> dict[str, tuple[onnx.NodeProto, int]]:
    """Returns the first node that takes a tensor, by name, with the place among its inputs."""
    found: dict[str, tuple[onnx.NodeProto, int]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            found.setdefault(name, (node, place))
    return found


def _initializer(
    name: str, values: "np.ndarray[Any, Any]", users: dict[str, tuple[onnx.NodeProto, int]]
) -> StoredTensor:
    if name not in users:
        return array_tensor(name, name, WeightKind.UNSPECIFIED, values)
    node, place = users[name]
    kind = _onnx_kind(node, place, values.ndim)
    return array_tensor(name, node.name, kind, values, _unit_axis(node, place, kind, values.ndim))


def _onnx_kind(node: onnx.NodeProto, place: int, sides: int) -> WeightKind:
    if "Norm" in node.op_type:
        roles = (WeightKind.UNSPECIFIED, WeightKind.NORM_SCALE, WeightKind.BIAS)
        return roles[place] if place < len(roles) else WeightKind.STATISTIC
    if node.op_type.startswith("Conv") and place == 1:
        return WeightKind.CONVOLUTION
    if node.op_type in ("Gemm", "MatMul") and sides == 2 and place < 2:
        return WeightKind.LINEAR
    if node.op_type == "Gather" and place == 0 and sides == 2:
        return WeightKind.EMBEDDING
    is_bias = node.op_type in ("Add", "Gemm", "Conv", "ConvTranspose") and sides <= 1
    return WeightKind.BIAS if is_bias else WeightKind.UNSPECIFIED


def _unit_axis(node: onnx.NodeProto, place: int, kind: WeightKind, sides: int) -> int:
    """Returns the axis of outputs: products take weights as (inputs, outputs) on the right."""
    if node.op_type == "ConvTranspose" and kind is WeightKind.CONVOLUTION:
        return 1
    if kind is not WeightKind.LINEAR:
        return 0
    option = ("transA", "transB")[place]
    is_transposed = any(each.name == option and each.i for each in node.attribute)
    return sides - 1 if (place == 1) != is_transposed else 0


def _attributes(node: onnx.NodeProto) -> Iterator[StoredTensor]:
    """Yields what a node keeps in attributes, as classical models do; trees apart."""
    for each in node.attribute:
        if len(each.floats) >= _LEAST_ATTRIBUTES and not each.name.startswith(_SPARED):
            values = np.asarray(each.floats, np.float32)
            is_bias = each.name.startswith("intercept")
            kind = WeightKind.BIAS if is_bias else WeightKind.UNSPECIFIED
            yield array_tensor(f"{node.name}.{each.name}", node.name, kind, values)


def _estimator_sources(model: SklearnAnalysed) -> Sources:
    found = Sources()
    names: set[tuple[str, ...]] = set()
    steps = steps_of(model.model.estimator)
    for step in steps.steps:
        for name, kind, axis, values in _arrays(step):
            tensor = array_tensor(f"{step.name}.{name}", step.name, kind, values, axis)
            found.tensors.append(tensor)
            if kind is WeightKind.LINEAR and values.flags.writeable and _is_own(step, name):
                found.arrays[tensor.name] = values
        trees = trees_of(step.estimator)
        if trees:
            found.trees += trees
            is_first = all(target != step.name for _, target in steps.edges)
            names.add(tuple(_columns(model, step, is_first, trees)))
    if len(names) > 1:
        found.notes.append(_DIFFERENT_COLUMNS)
    found.columns = next(iter(names)) if len(names) == 1 else _numbered_columns(found.trees)
    if any(tensor.name.endswith(".dual_coef_") for tensor in found.tensors):
        found.notes.append("Coefficients of support vectors stand in for those of columns.")
    if steps.is_cut:
        found.notes.append("Of many estimators side by side, the first 16 are looked at.")
    return found


def _arrays(step: Step) -> Iterator[tuple[str, WeightKind, int, "np.ndarray[Any, Any]"]]:
    """Yields coefficients: name, kind, axis of units, values."""
    estimator = step.estimator
    for place, values in enumerate(getattr(estimator, "coefs_", ())):
        yield f"coefs_.{place}", WeightKind.LINEAR, 1, values
    for place, values in enumerate(getattr(estimator, "intercepts_", ())):
        yield f"intercepts_.{place}", WeightKind.BIAS, 0, values
    for name, axis in _COEFFICIENTS.items():
        values = _array(estimator, name)
        if values is not None:
            yield name, WeightKind.LINEAR, axis, np.atleast_2d(values)
    dual = _array(estimator, "dual_coef_")
    if dual is not None and _array(estimator, "coef_") is None:
        yield "dual_coef_", WeightKind.UNSPECIFIED, 0, np.atleast_2d(dual)
    offset = _array(estimator, "intercept_")
    if offset is not None:
        yield "intercept_", WeightKind.BIAS, 0, np.atleast_1d(offset)


def _array(estimator: Any, name: str) -> "np.ndarray[Any, Any] | None":
    """Returns an attribute as an array; None where the estimator does not have it (now)."""
    found: Any = getattr(estimator, name, None)
    if hasattr(found, "toarray"):
        found = found.toarray()
    return np.asarray(found) if isinstance(found, np.ndarray | np.floating) else None


def _is_own(step: Step, name: str) -> bool:
    """Whether an estimator computes with an attribute itself, not with what it was made of."""
    return name.partition(".")[0] in vars(step.estimator)


def _columns(
    model: SklearnAnalysed, step: Step, is_first: bool, trees: Sequence[Tree]
) -> Sequence[str]:
    count = int(getattr(step.estimator, "n_features_in_", 0))
    named = [str(name) for name in getattr(step.estimator, "feature_names_in_", ())]
    if is_first and len(model.features) == count:
        named = list(model.features)
    elif not named:
        named = _names_before(model, step)
    numbered = _numbered_columns(trees)
    return _ordered(step, named) if len(named) >= max(1, count, len(numbered)) else numbered


def _ordered(step: Step, names: Sequence[str]) -> Sequence[str]:
    """Returns names in the order in which trees count: some boosting puts categories first."""
    is_category = getattr(step.estimator, "is_categorical_", None)
    if is_category is None or getattr(step.estimator, "_preprocessor", None) is None:
        return names
    return [names[place] for place in np.argsort(~np.asarray(is_category), kind="stable")]


def _names_before(model: SklearnAnalysed, step: Step) -> list[str]:
    """Returns what the steps before the last one call their columns; none where they cannot say."""
    pipeline = model.model.estimator
    if getattr(pipeline, "steps", None) is None or pipeline.steps[-1][1] is not step.estimator:
        return []
    given = None if model.model.is_named else list(model.features)
    try:
        return [str(name) for name in pipeline[:-1].get_feature_names_out(given)]
    except (AttributeError, ValueError):
        return []


def _numbered_columns(trees: Sequence[Tree]) -> list[str]:
    most = max((int(tree.columns.max(initial=-1)) for tree in trees), default=-1)
    return [f"column {place + 1}" for place in range(most + 1)]
