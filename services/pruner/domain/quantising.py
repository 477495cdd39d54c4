"""Networks in 8 bits: ranges of activations from rows, or found as rows come."""

import contextlib
import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import version_converter
from onnxruntime.quantization import (
    QuantType,
    quant_pre_process,
    quantize_dynamic,
    quantize_static,
)

from services.pruner.domain.foreign.folding import folded
from services.pruner.domain.foreign.graphs import (
    Array,
    Changed,
    ForeignModelError,
    Rows,
    accepted,
    batches,
    called,
    captured,
    constants,
    copied,
    distance,
    is_kept,
    outputs,
    replace,
    taken,
)

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_PRODUCTS = frozenset({"Gemm", "MatMul"})
# Weights with a scale for each channel can be said from this version on.
_PER_CHANNEL_OPSET = 13
# Of values that shapes cannot be inferred for, as behind ONNX's ML operators.
_OPTIONS = {"DefaultTensorType": onnx.TensorProto.FLOAT}
_MOST_ROWS = 512
_BATCH_ROWS = 32
# Layers at the ends stay as they are where they make most of the error, and that is one.
_MUCH_LESS = 0.5
_TO_SPEAK_OF = 1e-3


def static_int8(
    model: onnx.ModelProto,
    rows: Rows,
    check: Callable[[], None],
    kept_layers: Collection[str] = (),
) -> Changed:
    """Returns a network in 8 bits, scales of weights by channel, those of activations from rows.

    The first and the last layer stay in floating point where that takes away at least half of the
    distance of the outputs.

    Args:
        model: As `read_model` gives it.
        rows: Inputs by name, like those that will come.
        check: Called before each attempt; what it raises ends the work.
        kept_layers: Names of layers that stay as they are.

    Raises:
        ForeignModelError: It has no layers to quantise.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source = _prepared(model, Path(folder))
        layers = _layers(source.graph, _WEIGHTED)
        kept = [each.name for each in layers if is_kept(each, kept_layers)]
        free = [each.name for each in layers if each.name not in kept]
        if not free:
            raise ForeignModelError("All layers that could be quantised are to stay.")
        few = taken(rows, slice(_MOST_ROWS))
        expected = outputs(model, few)

        def attempt(excluded: Sequence[str]) -> _Attempt:
            check()
            found = _quantised(source, few, [*kept, *excluded], Path(folder))
            return _Attempt(found, tuple(excluded), distance(expected, outputs(found, few)))

        best = _best(attempt, [free[0], free[-1]])
    left = [called(layer) for layer in layers if layer.name in best.excluded]
    note = f"{len(free) - len(left):,} of {len(layers):,} layers compute with 8 bits"
    note += f"; {' and '.join(left)} would lose most and stay" if left else ""
    return Changed(best.model, (f"{note}: outputs are off by {best.off_by()}.",))


def dynamic_int8(model: onnx.ModelProto, rows: Rows, kept_layers: Collection[str] = ()) -> Changed:
    """Returns a network whose products have weights of 8 bits; activations get scales as they come.

    Slower than floating point for convolutions, so that models with these are refused.

    Args:
        model: As `read_model` gives it.
        rows: Inputs by name, on which outputs are compared.
        kept_layers: Names of layers that stay as they are.

    Raises:
        ForeignModelError: It has no matrix products, or has convolutions.
    """
    if any(node.op_type in _WEIGHTED - _PRODUCTS for node in model.graph.node):
        raise ForeignModelError("Convolutions in 8 bits need scales from rows.")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, path = _prepared(model, Path(folder)), Path(folder) / "dynamic.onnx"
        is_modern = _opset(source) >= _PER_CHANNEL_OPSET
        kept = [each.name for each in source.graph.node if is_kept(each, kept_layers)]
        kept += [f"{name}_MatMul" for name in kept]  # what the quantiser makes of a Gemm first
        quantize_dynamic(
            source,
            path,
            sorted(_PRODUCTS),
            per_channel=is_modern,
            nodes_to_exclude=kept,
            extra_options=_OPTIONS,
        )
        found = _standard(onnx.load(path))
    attempt = _Attempt(found, (), distance(outputs(model, rows), outputs(found, rows)))
    note = f"Products have weights of 8 bits: outputs are off by {attempt.off_by()}."
    return Changed(found, (note,))


@dataclass(frozen=True)
class _Attempt:
    """A quantised network, layers that were left, and how far its outputs are off."""

    model: onnx.ModelProto
    excluded: tuple[str, ...]
    distance: float

    def off_by(self) -> str:
        return f"{np.sqrt(self.distance):.2%} of their standard deviation"


def _best(attempt: Callable[[Sequence[str]], _Attempt], ends: Sequence[str]) -> _Attempt:
    """Returns the attempt with the most layers in 8 bits, unless others are much better."""
    best = attempt([])
    if best.distance < _TO_SPEAK_OF:
        return best
    singles = [attempt([name]) for name in dict.fromkeys(ends)]
    single = min(singles, key=lambda each: each.distance)
    if single.distance < _MUCH_LESS * best.distance:
        best = single
    if len(singles) > 1 and best.distance >= _TO_SPEAK_OF:
        both = attempt(ends)
        best = both if both.distance < _MUCH_LESS * best.distance else best
    return best


class _Reader:
    """Gives rows in batches."""

    def __init__(self, given: Iterator[dict[str, Array]]) -> None:
        self._given = given

    def get_next(self) -> dict[str, Array] | None:
        """Returns the next batch, None behind the last one."""
        return next(self._given, None)


def _prepared(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """Returns a network with its layers fused and its shapes inferred."""
    if not _layers(model.graph, _WEIGHTED):
        raise ForeignModelError("It has no convolutions or products with weights to quantise.")
    path, source = folder / "prepared.onnx", folder / "source.onnx"
    onnx.save(_modern(folded(model).model), source)
    # Symbolic inference does not know ONNX's ML operators, and leaves a file behind where it fails.
    is_known = not any(node.domain for node in model.graph.node)
    try:
        quant_pre_process(source, path, skip_symbolic_shape=not is_known)
    except Exception:  # Symbolic shapes of some operators cannot be inferred; it says no more.
        Path("sym_shape_infer_temp.onnx").unlink(missing_ok=True)
        quant_pre_process(source, path, skip_symbolic_shape=True)
    found = onnx.load(path)
    for place, node in enumerate(found.graph.node):
        node.name = node.name or f"{node.op_type}_{place}"
    return found


def _modern(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model of a version that can say scales by channel, or itself."""
    if _opset(model) >= _PER_CHANNEL_OPSET:
        return model
    try:
        return version_converter.convert_version(model, _PER_CHANNEL_OPSET)
    except Exception:  # Not all operators have a way up; it gets one scale for each weight.
        return model


def _opset(model: onnx.ModelProto) -> int:
    return max((each.version for each in model.opset_import if not each.domain), default=0)


def _layers(graph: onnx.GraphProto, kinds: frozenset[str]) -> list[onnx.NodeProto]:
    known = constants(graph)
    return [
        node
        for node in graph.node
        if node.op_type in kinds and any(name in known for name in node.input[:2])
    ]


def _quantised(
    source: onnx.ModelProto, rows: Rows, excluded: Sequence[str], folder: Path
) -> onnx.ModelProto:
    path = folder / "static.onnx"
    quantize_static(
        copied(source),
        path,
        _Reader(batches(source, accepted(source, rows), _BATCH_ROWS)),
        per_channel=_opset(source) >= _PER_CHANNEL_OPSET,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(excluded),
        extra_options=_OPTIONS,
        calibration_cache_path=folder / "ranges.json",
    )
    return _standard(onnx.load(path))


def _standard(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model that names no domains that it does not use, its nodes in order.

    The quantiser sorts them without a look at what branches and loops use.
    """
    waiting, ordered = list(model.graph.node), list[onnx.NodeProto]()
    pending = {name for node in waiting for name in node.output if name}
    while waiting:
        ready = [node for node in waiting if not pending & {*node.input, *captured(node)}]
        pending -= {name for node in ready for name in node.output}
        waiting = [node for node in waiting if pending.intersection(node.output)]
        ordered += ready
    replace(model.graph.node, ordered)
    used = {node.domain for node in model.graph.node} | {""}
    replace(model.opset_import, [each for each in model.opset_import if each.domain in used])
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back advice of the quantiser, which logs to the root."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
