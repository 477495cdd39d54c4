"""A small table and models of it, in every format that the analyzer takes."""

import uuid

import numpy as np
import numpy.typing as npt
from onnx import helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2, run_pb2
from common.calls import client
from common.testing.suite import RunningSuite
from tests.support.foreign_models import onnx_model, skops_file

CLASSES = ("blue", "green", "red")
COLUMNS = ("a", "b", "c", "d")
TARGET = "colour"

_ROWS = 600
_WEIGHTS = np.array([[2, -1, -1], [-1, 2, -1], [0, 0, 0.3], [0, 0, 0]])


def measurements(rows: int = _ROWS) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
    """Returns four numbers a row, of which two matter much and one not at all, and a colour."""
    generator = np.random.default_rng(4)
    values = generator.normal(size=(rows, len(COLUMNS)))
    scores = values @ _WEIGHTS + 0.4 * generator.normal(size=(rows, len(CLASSES)))
    return values, np.array(CLASSES)[scores.argmax(axis=1)]


def table(rows: int = _ROWS, *, labelled: bool = True) -> bytes:
    """Returns the measurements as CSV."""
    values, colours = measurements(rows)
    names = [*COLUMNS, TARGET] if labelled else list(COLUMNS)
    lines = [",".join(names)]
    for row, colour in zip(values, colours, strict=True):
        cells = [f"{value:.6g}" for value in row]
        lines.append(",".join([*cells, str(colour)] if labelled else cells))
    return "\n".join(lines).encode()


def import_table(suite: RunningSuite, name: str) -> str:
    """Imports the measurements. Returns the version's name."""
    spec = dataset_pb2.DatasetImportSpec(target=TARGET)
    return suite.import_dataset(name, f"{name}.csv", table(), spec)


def import_unlabelled(suite: RunningSuite, name: str, rows: int = _ROWS) -> str:
    """Imports the measurements without their colours. Returns the version's name."""
    spec = dataset_pb2.DatasetImportSpec(task=dataset_pb2.TASK_UNSUPERVISED)
    return suite.import_dataset(name, f"{name}.csv", table(rows, labelled=False), spec)


def train(suite: RunningSuite, data: str, model: str, epochs: int) -> str:
    """Trains a small network. Returns the model version's name."""
    spec = trainer_pb2.TrainingSpec(
        dataset_version=data,
        model=f"models/{model}",
        network=network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[16, 8])),
        optimizer=trainer_pb2.OptimizerSpec(learning_rate=0.02),
        epochs=epochs,
        workers=trainer_pb2.WorkerRange(min=1, wanted=1),
    )
    run = suite.train(spec)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    return run.model_version


def import_forest(suite: RunningSuite, data: str, model: str) -> str:
    """Imports a forest of scikit-learn. Returns the model version's name."""
    values, colours = measurements()
    forest = RandomForestClassifier(20, max_depth=6, random_state=0).fit(values, colours)
    return import_model(suite, f"{model}.skops", skops_file(forest), model, data)


def import_onnx(suite: RunningSuite, data: str, model: str, *, broken: bool = False) -> str:
    """Imports a logistic regression as ONNX. Returns the model version's name.

    Args:
        suite: The suite.
        data: What it is tried on.
        model: Id of the model.
        broken: Whether one of its weights is no number.
    """
    values, colours = measurements()
    fitted = LogisticRegression(fit_intercept=False).fit(values, colours)
    weights = fitted.coef_.T.astype(np.float32)
    if broken:
        weights[1, 1] = np.nan
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["sums"], "weighing"),
        helper.make_node("Softmax", ["sums"], ["scores"], "choosing"),
    ]
    content = onnx_model(nodes, weights, len(CLASSES)).SerializeToString()
    return import_model(suite, f"{model}.onnx", content, model, data)


def import_model(suite: RunningSuite, filename: str, content: bytes, model: str, data: str) -> str:
    """Imports a classifier from elsewhere. Returns the model version's name."""
    spec = model_pb2.ModelImportSpec(
        model=f"models/{model}",
        task=dataset_pb2.TASK_CLASSIFICATION,
        classes=CLASSES if filename.endswith(".onnx") else (),
        dataset_version=data,
        upload=suite.upload(filename, content),
    )
    created = suite.models.CreateModelImport(
        model_pb2.CreateModelImportRequest(
            model_import=model_pb2.ModelImport(spec=spec), request_id=str(uuid.uuid4())
        )
    )
    for _ in client.watch(
        suite.models.WatchModelImport, model_pb2.WatchModelImportRequest(name=created.name)
    ):
        pass
    done = suite.models.GetModelImport(model_pb2.GetModelImportRequest(name=created.name))
    assert done.status.state == run_pb2.RUN_STATE_SUCCEEDED, done.status.error
    return str(done.model_version)
