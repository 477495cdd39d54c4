"""Trainings of labels and of forecasts through the public API, with nothing but data named."""

import numpy as np
import pytest

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common.testing.suite import RunningSuite

pytestmark = pytest.mark.slow


def trained(
    suite: RunningSuite, version: str, model: str
) -> tuple[trainer_pb2.TrainingRun, model_pb2.ModelVersion]:
    """Estimates and trains on two workers; returns the run and its model version."""
    workers = trainer_pb2.WorkerRange(min=2)
    spec = trainer_pb2.TrainingSpec(dataset_version=version, model=model, workers=workers)
    request = trainer_pb2.CreateTrainingRunRequest(
        training_run=trainer_pb2.TrainingRun(spec=spec), validate_only=True
    )
    estimated = suite.training.CreateTrainingRun(request)
    assert estimated.estimate.steps > 0
    run = suite.train(spec)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run
    assert run.spec == estimated.spec
    asked = model_pb2.GetModelVersionRequest(name=run.model_version)
    return run, suite.models.GetModelVersion(asked)


def test_a_series_is_forecast(suite: RunningSuite) -> None:
    """Protects forecasts: columns, horizon, season and window come from the import."""
    noise = np.random.default_rng(0).normal(size=600)
    rows = [
        f"2024-{1 + day // 28:02}-{1 + day % 28:02}T{hour:02}:00:00,"
        f"{10 + np.sin(hour / 3.82) + 0.1 * noise[24 * day + hour]:.4f}"
        for day in range(25)
        for hour in range(24)
    ]
    import_spec = dataset_pb2.DatasetImportSpec(
        target="load", time_series=dataset_pb2.TimeSeries(time_column="time")
    )
    content = "\n".join(["time,load", *rows]).encode()
    version = suite.import_dataset("e2e-load", "load.csv", content, import_spec)
    run, model = trained(suite, version, "models/e2e-load")
    forecast = run.spec.forecast
    assert (forecast.time_column, forecast.horizon, forecast.season) == ("time", 48, 24)
    assert model.task == dataset_pb2.TASK_FORECASTING
    assert list(model.signature.inputs[0].shape) == [-1, forecast.window]
    assert 0 < run.metrics["validation/mase"] < 1.2


def test_several_labels_are_learned(suite: RunningSuite) -> None:
    """Protects multi-label: the targets are those of the import."""
    values = np.random.default_rng(1).normal(size=(400, 2))
    rows = [f"{a:.4f},{b:.4f},{int(a > 0)},{int(a + b > 0)}" for a, b in values]
    import_spec = dataset_pb2.DatasetImportSpec(targets=["left", "right"])
    content = "\n".join(["a,b,left,right", *rows]).encode()
    version = suite.import_dataset("e2e-labels", "labels.csv", content, import_spec)
    run, model = trained(suite, version, "models/e2e-labels")
    assert list(run.spec.targets) == ["left", "right"]
    assert model.task == dataset_pb2.TASK_MULTI_LABEL
    assert list(model.signature.classes) == ["left", "right"]
    assert run.metrics["validation/f1_micro"] > 0.8
