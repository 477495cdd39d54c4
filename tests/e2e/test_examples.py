"""The two examples of the platform's description, literally, through the public API."""

import io

import numpy as np
import numpy.typing as npt
import pytest

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2, run_pb2
from common.testing.suite import RunningSuite

pytestmark = pytest.mark.slow

Matrix = npt.NDArray[np.float64]


def import_uniform(suite: RunningSuite, name: str, rows: int, validation: float) -> str:
    """Imports ten uniform numbers a row and y = x0 + 2 * x1 - x3^3; returns the version's name."""
    features, target = uniform(rows)
    buffer = io.BytesIO()
    np.savez(buffer, x=features, y=target)
    spec = dataset_pb2.DatasetImportSpec(
        target="y",
        task=dataset_pb2.TASK_REGRESSION,
        split=dataset_pb2.SplitSpec(validation_fraction=validation),
    )
    return suite.import_dataset(name, "uniform.npz", buffer.getvalue(), spec)


def uniform(rows: int) -> tuple[Matrix, Matrix]:
    """Returns features and target."""
    features = np.random.default_rng(0).uniform(size=(rows, 10))
    return features, features[:, 0] + 2 * features[:, 1] - features[:, 3] ** 3


def least_squares(rows: int) -> float:
    """Returns the mean squared error of the best linear fit of all rows."""
    features, target = uniform(rows)
    matrix = np.column_stack([features, np.ones(rows)])
    weights = np.linalg.lstsq(matrix, target, rcond=None)[0]
    return float(np.square(matrix @ weights - target).mean())


def test_a_hundred_rows_on_one_worker(suite: RunningSuite) -> None:
    """100 x 10, linear, mean squared error, Adam, batch 32, 100 epochs, one worker."""
    version = import_uniform(suite, "first-example", 100, 0.0)
    run = suite.train(
        trainer_pb2.TrainingSpec(
            dataset_version=version,
            model="models/first-example",
            network=network_pb2.NetworkSpec(linear=network_pb2.LinearNetwork()),
            optimizer=trainer_pb2.OptimizerSpec(kind=trainer_pb2.OPTIMIZER_KIND_ADAM),
            batch_size=32,
            epochs=100,
        )
    )
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run
    assert run.metrics["train/loss"] <= 1.1 * least_squares(100)


@pytest.mark.parametrize(("kind", "limit"), [("linear", 1.1 * least_squares(1000)), ("mlp", 0.002)])
def test_a_thousand_rows_on_two_workers(suite: RunningSuite, kind: str, limit: float) -> None:
    """1,000 x 10 with warm-up, reduce-on-plateau, early stopping, 20 % validation, model saved."""
    version = import_uniform(suite, "second-example", 1000, 0.2)
    network = network_pb2.NetworkSpec()
    getattr(network, kind).SetInParent()
    run = suite.train(
        trainer_pb2.TrainingSpec(
            dataset_version=version,
            model=f"models/second-example-{kind}",
            network=network,
            optimizer=trainer_pb2.OptimizerSpec(learning_rate=0.01),
            schedule=trainer_pb2.ScheduleSpec(
                warmup=trainer_pb2.Warmup(epochs=5),
                reduce_on_plateau=trainer_pb2.ReduceOnPlateau(),
            ),
            early_stopping=trainer_pb2.EarlyStopping(patience=5),
            batch_size=128,
            epochs=100,
            workers=trainer_pb2.WorkerRange(min=2),
        )
    )
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run
    assert run.metrics["validation/loss"] < limit
    model = suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=run.model_version))
    assert {"weights", "onnx", "preprocessing"} <= set(model.artifacts)
    assert list(model.lineage.inputs)[:2] == [version, run.name]
