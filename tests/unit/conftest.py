from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Computes on one thread, as jobs do: on a busy machine several wait for each other."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
