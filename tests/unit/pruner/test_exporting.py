"""Pruned networks of all kinds leave as ONNX, for any number of rows."""

import numpy as np
import pytest
import torch

from common.models.twin import export_twin, run_onnx
from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies.graph import dependencies
from services.pruner.domain.dependencies.removal import without
from tests.support.architectures import ARCHITECTURES, FOLLOWED

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FOLLOWED)
def test_the_twin_of_a_pruned_network_agrees(name: str) -> None:
    torch.manual_seed(0)
    make_module, make_inputs = ARCHITECTURES[name]
    inputs = make_inputs()
    known = dependencies(capture(make_module(), inputs), inputs)
    small = without(known, [unit for group in known.removable for unit in group.units[1::2]])
    samples = {f"input_{at}": each for at, each in enumerate(inputs)}
    twin = export_twin(small, samples, "output")
    assert twin.max_error < 1e-4
    single = {key: value[:1].numpy() for key, value in samples.items()}
    assert np.allclose(run_onnx(twin.content, single), twin.outputs[:1], atol=1e-4)
