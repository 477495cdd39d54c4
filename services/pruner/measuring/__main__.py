"""Measures pairs of models in turns: `python -m services.pruner.measuring`.

Folders are read from standard input, a line each; for each the exit code of its measuring is
printed. Libraries are imported once.
"""

import gc
import os
import sys
import time
import traceback
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
    write_error,
)

_WARM, _LEAST, _MOST = 3, 12, 400


def main() -> int:
    """Measures what each folder asks for, in a child of its own, until nobody asks any more."""
    for line in sys.stdin:
        code = _in_child(Path(line.rstrip("\n")))
        print(code, flush=True)
    return 0


def _in_child(folder: Path) -> int:
    """Measures in a process that holds nothing of other models; returns its exit code."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    code = 1
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        write_answer(folder, _measured(folder, read_order(folder)))
        code = 0
    except Exception:  # What models raise has no common root; the parent tells of it.
        write_error(folder, traceback.format_exc())
    finally:
        os._exit(code)


def _measured(folder: Path, order: MeasuringOrder) -> Costs:
    last = len(order.runtimes) - 1
    variant, inputs = read_model(folder, last)
    before = _held_bytes()
    predict = _opened(order, last, variant, inputs)
    predict()
    memory = max(_held_bytes() - before, 0)
    is_alone = last == 0
    original = _nothing if is_alone else _opened(order, 0, *read_model(folder, 0))
    # The own time of one thread is right on a busy machine too; that of several would be a sum.
    clock = time.process_time if order.threads == 1 else time.perf_counter
    own, others = _in_turns(predict, original, order.seconds, clock)
    others = own if is_alone else others
    return Costs(
        latency=float(np.median(own)),
        latency_p99=float(np.quantile(own, 0.99)),
        memory_bytes=float(memory),
        original_latency=float(np.median(others)),
    )


def _in_turns(
    one: Callable[[], object],
    other: Callable[[], object],
    seconds: float,
    clock: Callable[[], float],
) -> tuple[list[float], list[float]]:
    """Returns the seconds of calls in turns: what disturbs one disturbs the other."""
    for _ in range(_WARM):
        one()
        other()
    own: list[float] = []
    others: list[float] = []
    end = time.perf_counter() + seconds
    while len(own) < _LEAST or (len(own) < _MOST and time.perf_counter() < end):
        own.append(_timed(one, clock))
        others.append(_timed(other, clock))
    return own, others


def _nothing() -> None:
    """Stands for the original where it is measured itself."""


def _timed(call: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    call()
    return clock() - begin


def _opened(
    order: MeasuringOrder, number: int, content: bytes, inputs: Tensors
) -> Callable[[], object]:
    """Returns what predicts the batch."""
    if order.runtimes[number] == Runtime.ONNX_RUNTIME:
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
