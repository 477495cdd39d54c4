"""Training requests, right and wrong, against a running suite: nothing wrong is ever stored."""

import uuid
from collections.abc import Callable

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2
from common.testing.suite import RunningSuite

pytestmark = pytest.mark.slow

Spec = trainer_pb2.TrainingSpec


@pytest.fixture(scope="module")
def version(suite: RunningSuite) -> str:
    """Imports a table with a number, a text, a negative weight, a target of one class."""
    lines = ["number,same,weight,target"]
    lines += [f"{row},always,{row - 3},{row % 2}" for row in range(60)]
    spec = dataset_pb2.DatasetImportSpec(
        target="target", column_types={"same": dataset_pb2.COLUMN_TYPE_CATEGORICAL}
    )
    return suite.import_dataset("requests", "requests.csv", "\n".join(lines).encode(), spec)


def request(version: str, **fields: object) -> trainer_pb2.CreateTrainingRunRequest:
    """Returns a request that works, with some fields of its specification set otherwise."""
    spec = Spec(dataset_version=version, model="models/requests", epochs=1)
    spec.MergeFrom(Spec(**fields))  # type: ignore[arg-type]
    return trainer_pb2.CreateTrainingRunRequest(
        training_run=trainer_pb2.TrainingRun(spec=spec), request_id=str(uuid.uuid4())
    )


def run_names(suite: RunningSuite) -> set[str]:
    """Returns the names of all runs."""
    page = suite.training.ListTrainingRuns(trainer_pb2.ListTrainingRunsRequest(page_size=1000))
    return {run.name for run in page.training_runs}


def refusal(
    suite: RunningSuite, wrong: trainer_pb2.CreateTrainingRunRequest
) -> tuple[grpc.StatusCode, str]:
    """Returns status code and first field of what a wrong request gets; no run is made."""
    before = run_names(suite)
    with pytest.raises(grpc.RpcError) as caught:
        suite.training.CreateTrainingRun(wrong)
    assert run_names(suite) == before
    error = caught.value
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    assert status is not None
    bad = error_details_pb2.BadRequest()
    fields = [each for each in status.details if each.Unpack(bad)]
    return error.code(), bad.field_violations[0].field if fields else ""


CNN = network_pb2.NetworkSpec(cnn=network_pb2.CnnNetwork())
WRONG: dict[str, tuple[dict[str, object], str]] = {
    "unknown feature": ({"features": ["number", "colour"]}, "features[1]"),
    "unknown target": ({"target": "colour"}, "target"),
    "target with one class": ({"target": "same"}, "target"),
    "target twice": ({"features": ["target"]}, "features[0]"),
    "negative weight": ({"weight_column": "weight"}, "weight_column"),
    "network for images": ({"network": CNN}, "network"),
    "min above max": ({"workers": trainer_pb2.WorkerRange(min=3, wanted=2)}, "workers"),
    "no epochs": ({"epochs": 0}, "epochs"),
    "learning rate": (
        {"optimizer": trainer_pb2.OptimizerSpec(learning_rate=float("nan"))},
        "optimizer.learning_rate",
    ),
    "enum of tomorrow": ({"optimizer": trainer_pb2.OptimizerSpec(kind=99)}, "optimizer.kind"),  # type: ignore[arg-type]
    "path in a name": ({"model": "models/../secrets"}, "model"),
    "no parent's name": ({"parent_model_version": "models/x"}, "parent_model_version"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_field_is_named_before_anything_is_stored(
    suite: RunningSuite, version: str, case: str
) -> None:
    """INVALID_ARGUMENT with the path of the field; no run appears."""
    fields, path = WRONG[case]
    code, field = refusal(suite, request(version, **fields))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert field == f"training_run.spec.{path}"


def test_missing_specification_is_named(suite: RunningSuite) -> None:
    """An empty request says what is required."""
    code, field = refusal(suite, trainer_pb2.CreateTrainingRunRequest())
    assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "training_run.spec")


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset_version": "datasets/nowhere/versions/1"},
        {"parent_model_version": "models/nowhere/versions/1"},
    ],
)
def test_missing_inputs_are_not_found(
    suite: RunningSuite, version: str, fields: dict[str, object]
) -> None:
    """What does not exist is NOT_FOUND, not a run that fails later."""
    assert refusal(suite, request(version, **fields))[0] is grpc.StatusCode.NOT_FOUND


def test_validate_only_resolves_and_stores_nothing(suite: RunningSuite, version: str) -> None:
    """The resolved specification has no open end, and the estimate is filled in."""
    before = run_names(suite)
    latest = version.rpartition("/")[0] + "/latest"
    asked = request(latest, workers=trainer_pb2.WorkerRange(min=1, wanted=2))
    asked.validate_only = True
    run = suite.training.CreateTrainingRun(asked)
    assert run_names(suite) == before
    assert run.spec.dataset_version == version
    assert run.spec.target == "target"
    assert list(run.spec.features) == ["number", "same", "weight"]
    assert list(run.spec.network.mlp.hidden_widths) == [128, 64]
    assert run.estimate.slots == 2
    assert run.estimate.steps == 1
    assert run.estimate.worker_memory_bytes > 0


def test_request_id_is_for_one_request(suite: RunningSuite, version: str) -> None:
    """A repeat returns the first run; another content under the id is refused."""
    first = request(version)
    run = suite.training.CreateTrainingRun(first)
    assert suite.training.CreateTrainingRun(first).name == run.name
    other = trainer_pb2.CreateTrainingRunRequest()
    other.CopyFrom(first)
    other.training_run.spec.epochs = 2
    assert refusal(suite, other)[0] is grpc.StatusCode.ALREADY_EXISTS
    suite.finish_run(run.name)


def test_a_child_starts_from_its_parent_and_keeps_it_from_deletion(
    suite: RunningSuite, version: str
) -> None:
    """Lineage holds: data, runs and parents cannot be deleted below what came of them."""
    parent = suite.train(request(version).training_run.spec)
    child = suite.train(
        request(version, parent_model_version=parent.model_version).training_run.spec
    )
    assert parent.model_version in child.status.lineage.inputs
    deletions: tuple[Callable[[], object], ...] = (
        lambda: suite.training.DeleteTrainingRun(
            trainer_pb2.DeleteTrainingRunRequest(name=parent.name)
        ),
        lambda: suite.models.DeleteModelVersion(
            model_pb2.DeleteModelVersionRequest(name=parent.model_version)
        ),
        lambda: suite.datasets.DeleteDatasetVersion(
            dataset_pb2.DeleteDatasetVersionRequest(name=version)
        ),
    )
    for delete in deletions:
        with pytest.raises(grpc.RpcError) as caught:
            delete()
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "is used by" in (caught.value.details() or "")
