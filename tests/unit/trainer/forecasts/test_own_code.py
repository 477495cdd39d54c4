"""Forecasts by code of users' own."""

from pathlib import Path

import numpy as np
import pytest

from common.models.store import read_part
from common.models.twin import run_onnx
from common.models.vectors import read_vectors
from services.trainer.worker.own_code.files import OwnCodeError
from tests.support.training import Desk
from tests.unit.trainer.forecasts.test_forecasting import SPEC, hourly_data

NETWORK = """
from torch import nn

def build(inputs, outputs, arguments):
    layer = nn.Linear(inputs.window, outputs)
    nn.init.zeros_(layer.weight)
    return layer

def wrong(inputs, outputs, arguments):
    return nn.Linear(inputs.window, outputs + 1)
"""
LOOP = """
import torch

def train(context):
    model = torch.nn.Linear(context.inputs.window, context.outputs)
    torch.nn.init.zeros_(model.weight)
    adam = torch.optim.Adam(model.parameters(), lr=0.003)
    optimizer = context.distributed(adam, model)
    context.restore(model, adam)
    for step in context.steps():
        optimizer.zero_grad()
        (model(*step.inputs) - step.target).abs().mean().backward()
        optimizer.step()
        context.commit()
    with torch.no_grad():
        errors = [(model(*each.inputs) - each.target).abs().mean() for each in context.validation()]
    context.report(error=float(torch.stack(errors).mean()))
    context.save_model(model)
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_network_of_ones_own_forecasts(desk: Desk) -> None:
    """Protects own networks: windows in, forecasts out, an ONNX twin from raw values on."""
    code = {"files": {"own_forecast.py": NETWORK}, "network": "own_forecast:build"}
    job = desk.job(hourly_data(desk), {**SPEC, "code": code})
    outcome = desk.train(job)
    version = desk.package(job)
    assert outcome.metrics["validation/mase"] == version.metrics["validation/mase"] < 1
    vectors = read_vectors(version, desk.store)
    twin = run_onnx(read_part(version, "onnx", desk.store), vectors.inputs).astype(np.float64)
    expected = vectors.outputs["prediction"].astype(np.float64)
    np.testing.assert_allclose(twin, expected, rtol=1e-5)
    assert list(version.signature.outputs[0].shape) == [-1, 6]


def test_a_wrong_number_of_steps_is_told_before_the_first_one(desk: Desk) -> None:
    code = {"files": {"own_wrong.py": NETWORK}, "network": "own_wrong:wrong"}
    job = desk.job(hourly_data(desk), {**SPEC, "code": code})
    with pytest.raises(OwnCodeError, match=r"gave \(2, 7\) .* return a tensor of \(2, 6\)"):
        desk.train(job)


def test_a_training_of_ones_own_forecasts(desk: Desk) -> None:
    """Protects own loops: the target of a step is what the network should give."""
    code = {"files": {"own_loop.py": LOOP}, "training": "own_loop:train"}
    job = desk.job(hourly_data(desk), {**SPEC, "code": code})
    assert desk.train(job).metrics["error"] < 0.5
