"""Work on both cores."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from services.analyzer.domain.models.model import AnalysedModel, ModelFormat

T = TypeVar("T")
R = TypeVar("R")

_WORKERS = min(2, os.cpu_count() or 1)


def mapped(model: AnalysedModel, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yields the results of work in which a model predicts, in order.

    Torch works on all cores by itself; the others do most of their work on one, without Python's
    lock.
    """
    if model.format is ModelFormat.TORCH:
        yield from map(work, items)
        return
    # Threads of linear algebra below these would be in each other's way.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(_WORKERS) as pool:
        yield from pool.map(work, items)
