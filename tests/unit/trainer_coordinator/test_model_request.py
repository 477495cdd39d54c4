"""A run makes one model version, however often it is taken over."""

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.artifacts.memory import MemoryStore
from services.trainer.coordinator.catalog import settle_request


def run_created_at(seconds: int) -> trainer_pb2.TrainingRun:
    """A run of one name."""
    run = trainer_pb2.TrainingRun(name="trainingRuns/a")
    run.spec.model = "models/m"
    run.status.create_time.seconds = seconds
    return run


def package(parameters: int) -> agents_pb2.PackagePublished:
    """A package that can be told apart."""
    return agents_pb2.PackagePublished(model_version=f'{{"parameterCount": {parameters}}}'.encode())


def test_second_attempt_repeats_the_first_request() -> None:
    """The catalog refuses other content under the same request id, so it gets the same."""
    store = MemoryStore()
    first = settle_request(store, run_created_at(1), package(1))
    second = settle_request(store, run_created_at(1), package(2))
    assert second == first
    assert first.model_version.parameter_count == 1
    assert first.parent == "models/m"


def test_later_run_of_the_same_name_has_another_id() -> None:
    """A run that was deleted and made again under its name is another one."""
    ids = {settle_request(MemoryStore(), run_created_at(s), package(1)).request_id for s in (1, 2)}
    assert len(ids) == 2
