"""A run publishes once, however often it is taken over."""

from aimass.catalog.v1 import model_pb2
from aimass.trainer.v1 import trainer_pb2
from common.artifacts.memory import MemoryStore
from common.runs.publishing import publish_request, run_uuid, settle_request
from common.testing.sample_job import KIND


def run_created_at(seconds: int) -> trainer_pb2.TrainingRun:
    """A run of one name."""
    run = trainer_pb2.TrainingRun(name="trainingRuns/a")
    run.status.create_time.seconds = seconds
    return run


def settled(
    store: MemoryStore, run: trainer_pb2.TrainingRun, parameters: int
) -> model_pb2.CreateModelVersionRequest:
    """Settles on a model that can be told apart."""
    version = model_pb2.ModelVersion(parameter_count=parameters)
    return settle_request(store, run, "models/m", version)


def test_second_attempt_repeats_the_first_request() -> None:
    """The catalog refuses other content under the same request id, so it gets the same."""
    store = MemoryStore()
    first = settled(store, run_created_at(1), 1)
    second = settled(store, run_created_at(1), 2)
    assert second == first
    assert first.model_version.parameter_count == 1
    assert first.parent == "models/m"


def test_a_stored_request_is_sent_with_the_id_it_has() -> None:
    """A run whose earlier attempt derived its id in another way still makes one version."""
    store, run = MemoryStore(), run_created_at(1)
    key = "runs/trainingRuns/a/model-version-request.json"
    store.create(key, b'{"parent": "models/m", "requestId": "an-older-id"}')
    assert settled(store, run, 2).request_id == "an-older-id"


def test_later_run_of_the_same_name_has_another_id() -> None:
    """A run that was deleted and made again under its name is another one."""
    first, second = run_created_at(1), run_created_at(2)
    assert run_uuid(first) != run_uuid(second)
    for run in (first, second):
        assert settled(MemoryStore(), run, 1).request_id == run_uuid(run)
        assert publish_request(KIND, run).request_id == run_uuid(run)


def test_identity_stays_what_is_stored() -> None:
    """Requests in the store are found under it: a run may outlive an upgrade of its service."""
    request = publish_request(KIND, run_created_at(1))
    assert request.request_id == "9d46e129-6c88-5976-83f2-ed94f1f4959e"
    assert request.payload_digest.startswith("01e28b3d7935914b")
    assert (request.caller, request.method) == ("trainingRuns", "publish")
