"""Measures two models in turns: `python -m services.pruner.measuring FOLDER`."""

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from common.models.onnx_model import open_onnx
from common.models.skops_model import open_skops
from common.models.vectors import Tensors
from services.pruner.domain.specification import Runtime
from services.pruner.measuring.order import (
    Costs,
    MeasuringOrder,
    read_model,
    read_order,
    write_answer,
)

_WARM, _LEAST, _MOST = 3, 12, 400


def main() -> int:
    """Measures what a folder asks for; returns the exit code of the process."""
    folder = Path(sys.argv[1])
    write_answer(folder, _measured(folder, read_order(folder)))
    return 0


def _measured(folder: Path, order: MeasuringOrder) -> Costs:
    variant, inputs = read_model(folder, order.count - 1)
    before = _held_bytes()
    predict = _opened(order, variant, inputs)
    predict()
    memory = max(_held_bytes() - before, 0)
    predict_original = predict
    if order.count > 1:
        predict_original = _opened(order, *read_model(folder, 0))
    own, others = _in_turns(predict, predict_original, order.seconds)
    return Costs(
        latency=float(np.median(own)),
        latency_p99=float(np.quantile(own, 0.99)),
        memory_bytes=float(memory),
        original_latency=float(np.median(others)),
    )


def _in_turns(
    one: Callable[[], object], other: Callable[[], object], seconds: float
) -> tuple[list[float], list[float]]:
    """Returns the seconds of calls in turns: what disturbs one disturbs the other."""
    for _ in range(_WARM):
        one()
        other()
    own, others = [], []
    end = time.perf_counter() + seconds
    while len(own) < _LEAST or (len(own) < _MOST and time.perf_counter() < end):
        own.append(_timed(one))
        others.append(_timed(other))
    return own, others


def _timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _opened(order: MeasuringOrder, content: bytes, inputs: Tensors) -> Callable[[], object]:
    """Returns what predicts the batch."""
    if order.runtime == Runtime.ONNX_RUNTIME:
        graph = open_onnx(content, "model", order.threads)
        return lambda: graph.predict(inputs)
    model = open_skops(content, "model")
    return lambda: model.predict(inputs)


def _held_bytes() -> int:
    """Returns the memory that is this process's alone."""
    gc.collect()
    return int(psutil.Process().memory_full_info().uss)


if __name__ == "__main__":
    sys.exit(main())
