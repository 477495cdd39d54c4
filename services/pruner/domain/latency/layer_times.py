"""How long layers take in ONNX Runtime, each alone, measured once for each shape."""

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from common.models.onnx_session import onnx_session
from services.pruner.domain.latency.layer_shape import LayerShape

_OPSET, _IR = 21, 10
_WARM, _FEWEST, _MOST, _SECONDS = 3, 5, 50, 0.03
_TIMES = 3


@dataclass
class LayerTimes:
    """A table that fills itself.

    Attributes:
        threads: Processors that a layer may use.
        known: Seconds by shape.
    """

    threads: int = 1
    known: dict[LayerShape, float] = field(default_factory=dict)

    def seconds(self, shape: LayerShape) -> float:
        """Returns how long a layer takes, the least of some medians: others only make it longer."""
        if shape not in self.known:
            self.known[shape] = self._measured(shape)
        return self.known[shape]

    def _measured(self, shape: LayerShape) -> float:
        # Of one thread, its own time: what else the machine does meanwhile is not in it.
        now = time.thread_time if self.threads == 1 else time.perf_counter
        session = onnx_session(layer_model(shape), self.threads)
        size = (shape.rows, shape.inputs, *shape.extents)
        inputs = {"input": np.random.default_rng(0).normal(size=size).astype(np.float32)}
        for _ in range(_WARM):
            session.run(None, inputs)
        medians = []
        for _ in range(_TIMES):
            passed: list[float] = []
            while len(passed) < _FEWEST or (sum(passed) < _SECONDS and len(passed) < _MOST):
                begin = now()
                session.run(None, inputs)
                passed.append(now() - begin)
            medians.append(statistics.median(passed))
        return min(medians)


def layer_model(shape: LayerShape) -> bytes:
    """Returns an ONNX file with one layer and an activation, as most networks have it."""
    generator = np.random.default_rng(0)
    bias = np.zeros(shape.outputs, np.float32)
    if shape.extents:
        size: tuple[int, ...] = (shape.outputs, shape.inputs // shape.groups, *shape.kernel)
        options: dict[str, Any] = {
            "kernel_shape": shape.kernel,
            "strides": shape.stride,
            "pads": (*shape.padding, *shape.padding),
            "dilations": shape.dilation,
            "group": shape.groups,
        }
        layer = helper.make_node("Conv", ["input", "weight", "bias"], ["linear"], **options)
    else:
        size = (shape.inputs, shape.outputs)
        layer = helper.make_node("Gemm", ["input", "weight", "bias"], ["linear"])
    weight = generator.normal(size=size).astype(np.float32) * 0.01
    names = [f"size_{at}" for at in range(2 + len(shape.extents))]
    graph = helper.make_graph(
        [layer, helper.make_node("Relu", ["linear"], ["output"])],
        "layer",
        [
            helper.make_tensor_value_info(
                "input", TensorProto.FLOAT, [shape.rows, shape.inputs, *shape.extents]
            )
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, names)],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
