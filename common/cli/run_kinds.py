"""Runs of all kinds behind one shape."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias

import grpc

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2
from common.cli.connection import Clients
from common.cli.errors import CliError
from common.client import watch

_SO_FAR_SECONDS = 5.0
Run: TypeAlias = dataset_pb2.DatasetImport | model_pb2.ModelImport | trainer_pb2.TrainingRun


class RunCalls(Protocol):
    """What can be done with runs of one kind."""

    def get(self, name: str) -> Run:
        """Returns a run."""
        ...

    def pages(self, filter_: str) -> Iterator[Run]:
        """Yields runs, newest first."""
        ...

    def watch(self, name: str, after: int) -> Iterator[event_pb2.Event]:
        """Yields the events after a sequence number until the run has ended."""
        ...

    def events_so_far(self, name: str) -> list[event_pb2.Event]:
        """Returns the events that are stored by now, also of a run that goes on."""
        ...

    def cancel(self, name: str) -> Run:
        """Asks a run to stop."""
        ...

    def delete(self, name: str) -> None:
        """Deletes a run that ended."""
        ...


class TrainingRuns:
    """Training runs."""

    collection = "trainingRuns"

    def __init__(self, clients: Clients) -> None:
        self._stub = clients.training

    def get(self, name: str) -> Run:
        """Returns a run."""
        return self._stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name=name))

    def pages(self, filter_: str) -> Iterator[Run]:
        """Yields runs, newest first."""
        request = trainer_pb2.ListTrainingRunsRequest(filter=filter_)
        while True:
            page = self._stub.ListTrainingRuns(request)
            yield from page.training_runs
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self, name: str, after: int) -> Iterator[event_pb2.Event]:
        """Yields the events after a sequence number until the run has ended."""
        request = trainer_pb2.WatchTrainingRunRequest(name=name, after_sequence=after)
        return watch(self._stub.WatchTrainingRun, request)

    def events_so_far(self, name: str) -> list[event_pb2.Event]:
        """Returns the events that are stored by now, also of a run that goes on."""
        request = trainer_pb2.WatchTrainingRunRequest(name=name)
        return _received(self._stub.WatchTrainingRun(request, timeout=_SO_FAR_SECONDS))

    def cancel(self, name: str) -> Run:
        """Asks a run to stop."""
        return self._stub.CancelTrainingRun(trainer_pb2.CancelTrainingRunRequest(name=name))

    def delete(self, name: str) -> None:
        """Deletes a run that ended."""
        self._stub.DeleteTrainingRun(trainer_pb2.DeleteTrainingRunRequest(name=name))


class DatasetImports:
    """Imports of data sets."""

    collection = "datasetImports"

    def __init__(self, clients: Clients) -> None:
        self._stub = clients.datasets

    def get(self, name: str) -> Run:
        """Returns a run."""
        return self._stub.GetDatasetImport(dataset_pb2.GetDatasetImportRequest(name=name))

    def pages(self, filter_: str) -> Iterator[Run]:
        """Yields runs, newest first."""
        request = dataset_pb2.ListDatasetImportsRequest(filter=filter_)
        while True:
            page = self._stub.ListDatasetImports(request)
            yield from page.dataset_imports
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self, name: str, after: int) -> Iterator[event_pb2.Event]:
        """Yields the events after a sequence number until the run has ended."""
        request = dataset_pb2.WatchDatasetImportRequest(name=name, after_sequence=after)
        return watch(self._stub.WatchDatasetImport, request)

    def events_so_far(self, name: str) -> list[event_pb2.Event]:
        """Returns the events that are stored by now, also of a run that goes on."""
        request = dataset_pb2.WatchDatasetImportRequest(name=name)
        return _received(self._stub.WatchDatasetImport(request, timeout=_SO_FAR_SECONDS))

    def cancel(self, name: str) -> Run:
        """Asks a run to stop."""
        return self._stub.CancelDatasetImport(dataset_pb2.CancelDatasetImportRequest(name=name))

    def delete(self, name: str) -> None:
        """Deletes a run that ended."""
        self._stub.DeleteDatasetImport(dataset_pb2.DeleteDatasetImportRequest(name=name))


def _received(events: Iterable[event_pb2.Event]) -> list[event_pb2.Event]:
    """Returns the events of a stream up to its first heartbeat, its end or its deadline."""
    found: list[event_pb2.Event] = []
    try:
        for event in events:
            if not event.sequence:
                break
            found.append(event)
    except grpc.RpcError as error:
        if not isinstance(error, grpc.Call) or error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    return found


class ModelImports:
    """Imports of models."""

    collection = "modelImports"

    def __init__(self, clients: Clients) -> None:
        self._stub = clients.models

    def get(self, name: str) -> Run:
        """Returns a run."""
        return self._stub.GetModelImport(model_pb2.GetModelImportRequest(name=name))

    def pages(self, filter_: str) -> Iterator[Run]:
        """Yields runs, newest first."""
        request = model_pb2.ListModelImportsRequest(filter=filter_)
        while True:
            page = self._stub.ListModelImports(request)
            yield from page.model_imports
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self, name: str, after: int) -> Iterator[event_pb2.Event]:
        """Yields the events after a sequence number until the run has ended."""
        request = model_pb2.WatchModelImportRequest(name=name, after_sequence=after)
        return watch(self._stub.WatchModelImport, request)

    def events_so_far(self, name: str) -> list[event_pb2.Event]:
        """Returns the events that are stored by now, also of a run that goes on."""
        request = model_pb2.WatchModelImportRequest(name=name)
        return _received(self._stub.WatchModelImport(request, timeout=_SO_FAR_SECONDS))

    def cancel(self, name: str) -> Run:
        """Asks a run to stop."""
        return self._stub.CancelModelImport(model_pb2.CancelModelImportRequest(name=name))

    def delete(self, name: str) -> None:
        """Deletes a run that ended."""
        self._stub.DeleteModelImport(model_pb2.DeleteModelImportRequest(name=name))


_KINDS: tuple[type[TrainingRuns] | type[DatasetImports] | type[ModelImports], ...] = (
    TrainingRuns,
    DatasetImports,
    ModelImports,
)


def all_calls(clients: Clients) -> list[RunCalls]:
    """Returns the calls of every kind of run."""
    return [kind(clients) for kind in _KINDS]


def calls_for(clients: Clients, name: str) -> RunCalls:
    """Returns the calls for a run's kind.

    Args:
        clients: The suite's stubs.
        name: Resource name of the run.

    Raises:
        CliError: The name belongs to no kind of run.
    """
    collection = name.partition("/")[0]
    for kind in _KINDS:
        if kind.collection == collection:
            return kind(clients)
    known = " or ".join(f"{kind.collection}/<id>" for kind in _KINDS)
    raise CliError(f"{name} is not the name of a run; expected {known}.", hint="aimass runs list")


def full_name(text: str) -> str:
    """Returns a run's resource name; an id alone is taken as that of a training run."""
    return text if "/" in text else f"{TrainingRuns.collection}/{text}"


def result_of(run: Run) -> str:
    """Returns the resource that a run made; empty where it made none."""
    if isinstance(run, dataset_pb2.DatasetImport):
        return run.dataset_version
    return run.model_version


def epochs_of(run: Run) -> int:
    """Returns the number of epochs a run is to take; 0 for runs without."""
    return run.spec.epochs if isinstance(run, trainer_pb2.TrainingRun) else 0
