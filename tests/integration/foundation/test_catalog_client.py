"""What a job asks of the catalog, over a connection."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from common.artifacts.memory import MemoryStore
from common.calls import catalog, patience
from common.calls.catalog import ask_catalog
from common.errors import FailedPreconditionError, UnavailableError
from common.runs import waiting
from common.runs.errors import RunCancelledError
from common.runs.owner import RunOwner
from common.testing.runs_contract import Runs
from common.testing.sample_job import KIND

VERSION = "datasets/d/versions/1"


class FakeCatalog:
    """Knows one data set version, and keeps the requests for model versions."""

    def __init__(self) -> None:
        """Answers at once."""
        self.busy = 0
        self.away = 0
        self.created: list[model_pb2.CreateModelVersionRequest] = []

    def get(
        self, request: dataset_pb2.GetDatasetVersionRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.DatasetVersion:
        """Answers once it was asked more often than it is busy or away."""
        if self.away:
            self.away -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        if self.busy:
            self.busy -= 1
            context.abort(grpc.StatusCode.ABORTED, "busy")
        if request.name != VERSION:
            context.abort(grpc.StatusCode.NOT_FOUND, "There is no such version.")
        return dataset_pb2.DatasetVersion(name=request.name)

    def create(
        self, request: model_pb2.CreateModelVersionRequest, context: grpc.ServicerContext
    ) -> model_pb2.ModelVersion:
        """Notes the request."""
        self.created.append(request)
        return request.model_version

    def handlers(self) -> "list[grpc.GenericRpcHandler[Any, Any]]":
        """Returns what a server needs."""
        get = grpc.unary_unary_rpc_method_handler(
            self.get,
            dataset_pb2.GetDatasetVersionRequest.FromString,
            dataset_pb2.DatasetVersion.SerializeToString,
        )
        create = grpc.unary_unary_rpc_method_handler(
            self.create,
            model_pb2.CreateModelVersionRequest.FromString,
            model_pb2.ModelVersion.SerializeToString,
        )
        services = {
            "aimass.catalog.v1.DatasetService": {"GetDatasetVersion": get},
            "aimass.catalog.v1.ModelService": {"CreateModelVersion": create},
        }
        return [grpc.method_handlers_generic_handler(*each) for each in services.items()]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCatalog]:
    """The catalog that settings lead to."""
    monkeypatch.setattr(patience, "_RETRY_SECONDS", 0.0)
    fake = FakeCatalog()
    server = grpc.server(ThreadPoolExecutor(1), fake.handlers())
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("AIMASS_CATALOG_ADDRESS", f"127.0.0.1:{port}")
    yield fake
    server.stop(0)


@pytest.fixture
def store() -> MemoryStore:
    """A store with a run that waits."""
    store = MemoryStore()
    Runs(store).create("r")
    return store


def register(store: MemoryStore, parameters: int, *, cancelled: bool = False) -> int:
    """Registers in an attempt that dies then. Returns which model was registered."""
    owner: RunOwner[trainer_pb2.TrainingRun] = RunOwner.acquire(KIND, KIND.name_of("r"), store)
    if cancelled:
        owner.cancelled.set()
    made = model_pb2.ModelVersion(parameter_count=parameters)
    try:
        return ask_catalog(lambda it: it.register(owner, "models/m", made)).parameter_count
    finally:
        owner.abandon()


def test_busy_catalog_is_waited_for(fake: FakeCatalog) -> None:
    """A run does not fail because the catalog restarts, or is asked too much."""
    fake.busy = 3
    assert ask_catalog(lambda it: it.dataset_version(VERSION)).name == VERSION


def test_a_run_says_what_it_waits_for(fake: FakeCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches a run that stands still hears once which service is away, and that it is back."""
    told: list[str] = []
    monkeypatch.setattr(waiting, "_tell", told.append)
    fake.away = 11  # the channel asks five times a call
    assert ask_catalog(lambda it: it.dataset_version(VERSION)).name == VERSION
    waits, back = told
    assert waits == "This run waits for the catalog, which cannot be reached."
    assert back.startswith("The catalog is back after ")


def test_patience_ends(fake: FakeCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt ends where the catalog stays away, and another may come later."""
    monkeypatch.setattr(catalog, "_PATIENCE_SECONDS", -1.0)
    fake.busy = 1
    with pytest.raises(UnavailableError):
        ask_catalog(lambda it: it.dataset_version(VERSION))


def test_refusal_is_not_repeated(fake: FakeCatalog) -> None:
    """What is gone stays gone: the run fails with the catalog's words."""
    with pytest.raises(FailedPreconditionError, match="There is no such version"):
        ask_catalog(lambda it: it.dataset_version("datasets/d/versions/2"))


def test_all_attempts_register_the_same_model(fake: FakeCatalog, store: MemoryStore) -> None:
    """The catalog makes one version of one request, also where an attempt dies after it."""
    assert register(store, 1) == 1
    assert register(store, 2) == 1
    first, second = fake.created
    assert first == second
    assert first.request_id


def test_cancelled_run_registers_nothing(fake: FakeCatalog, store: MemoryStore) -> None:
    """Nobody wants its model."""
    with pytest.raises(RunCancelledError):
        register(store, 1, cancelled=True)
    assert not fake.created
