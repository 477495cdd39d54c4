"""What a disturbed worker suffers."""

import time

import pytest
import torch

from services.trainer.worker.process import Disturbance
from services.trainer.worker.reduction.disturbing import SLOW_SECONDS, DisturbedReducer
from services.trainer.worker.reduction.reducer import SingleReducer


@pytest.mark.parametrize("disturbance", Disturbance)
def test_sum_of_a_disturbed_worker(disturbance: Disturbance) -> None:
    """NaN in place of its part, or its part later; nothing changes for all others."""
    reducer = DisturbedReducer(SingleReducer(), lambda: disturbance)
    tensor = torch.ones(3)
    began = time.monotonic()
    reducer.start(tensor)
    reducer.wait()
    assert (time.monotonic() - began >= SLOW_SECONDS) == (disturbance is Disturbance.SLOW)
    assert bool(tensor.isnan().all()) == (disturbance is Disturbance.NAN)
    assert disturbance is Disturbance.NAN or bool((tensor == 1).all())
    assert reducer.broadcast(b"content") == b"content"
