"""Runs of all kinds behind one shape."""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import grpc

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2, run_pb2
from common.calls.client import watch
from common.cli.connection import Clients
from common.cli.errors import CliError
from common.cli.paging import pages
from common.wording import snake_case

_SO_FAR_SECONDS = 5.0
Run: TypeAlias = (
    analyzer_pb2.Analysis
    | dataset_pb2.DatasetImport
    | model_pb2.ModelImport
    | outlier_pb2.OutlierScan
    | pruner_pb2.PruningRun
    | trainer_pb2.TrainingRun
    | tuner_pb2.TuningRun
)


class RunCalls:
    """What can be done with runs of one kind: the same methods in every service, named after it."""

    def __init__(self, kind: str, messages: ModuleType, stub: Any) -> None:
        """Prepares.

        Args:
            kind: Name of the run's message, for example `TrainingRun`.
            messages: Where the messages of its methods are.
            stub: Stub of the service that has the methods.
        """
        self._kind = kind
        self._messages = messages
        self._stub = stub

    def get(self, name: str) -> Run:
        """Returns a run."""
        run: Run = self._call("Get", name=name)
        return run

    def pages(self, filter_: str) -> Iterator[Run]:
        """Yields runs, newest first."""
        plural = plural_of(self._kind)
        request = getattr(self._messages, f"List{plural}Request")(filter=filter_)
        yield from pages(getattr(self._stub, f"List{plural}"), request, snake_case(plural))

    def watch(self, name: str, after: int) -> Iterator[event_pb2.Event]:
        """Yields the events after a sequence number until the run has ended."""
        method, request = self._method("Watch", name=name, after_sequence=after)
        return watch(method, request)

    def events_so_far(self, name: str) -> list[event_pb2.Event]:
        """Returns the events that are stored by now, also of a run that goes on."""
        method, request = self._method("Watch", name=name)
        return _received(method(request, timeout=_SO_FAR_SECONDS))

    def cancel(self, name: str) -> Run:
        """Asks a run to stop."""
        run: Run = self._call("Cancel", name=name)
        return run

    def delete(self, name: str) -> None:
        """Deletes a run that ended."""
        self._call("Delete", name=name)

    def _call(self, verb: str, **fields: object) -> Any:
        method, request = self._method(verb, **fields)
        return method(request)

    def _method(self, verb: str, **fields: object) -> tuple[Any, Any]:
        name = f"{verb}{self._kind}"
        return getattr(self._stub, name), getattr(self._messages, f"{name}Request")(**fields)


# By collection: the run's message, where the messages of its methods are, and the stub's name.
_KINDS: Mapping[str, tuple[str, ModuleType, str]] = {
    "trainingRuns": ("TrainingRun", trainer_pb2, "training"),
    "datasetImports": ("DatasetImport", dataset_pb2, "datasets"),
    "modelImports": ("ModelImport", model_pb2, "models"),
    "outlierScans": ("OutlierScan", outlier_pb2, "outliers"),
    "analyses": ("Analysis", analyzer_pb2, "analyses"),
    "tuningRuns": ("TuningRun", tuner_pb2, "tuning"),
    "pruningRuns": ("PruningRun", pruner_pb2, "pruning"),
}
_DEFAULT = "trainingRuns"
# Ids that services give: what they begin with, and ten characters.
_GIVEN_ID = re.compile(r"(.+)-[a-z2-7]{10}")
_BY_PREFIX = {
    "import": "datasetImports",
    "model-import": "modelImports",
    "scan": "outlierScans",
    "analysis": "analyses",
    "tune": "tuningRuns",
    "prune": "pruningRuns",
}
# What a command says of the names that it takes.
NAMES = ", ".join(f"`{each}/<id>`" for each in _KINDS) + ", or an id alone."


def all_calls(clients: Clients) -> list[RunCalls]:
    """Returns the calls of every kind of run."""
    return [_calls(clients, collection) for collection in _KINDS]


def calls_for(clients: Clients, name: str) -> RunCalls:
    """Returns the calls for a run's kind.

    Args:
        clients: The suite's stubs.
        name: Resource name of the run.

    Raises:
        CliError: The name belongs to no kind of run.
    """
    collection = name.partition("/")[0]
    if collection in _KINDS:
        return _calls(clients, collection)
    known = " or ".join(f"{each}/<id>" for each in _KINDS)
    raise CliError(f"{name} is not the name of a run; expected {known}.", hint="aimass runs list")


def _calls(clients: Clients, collection: str) -> RunCalls:
    kind, messages, stub = _KINDS[collection]
    return RunCalls(kind, messages, getattr(clients, stub))


def full_name(text: str, default: str = _DEFAULT) -> str:
    """Returns a run's resource name.

    Args:
        text: The name, or an id, which is of the kind whose ids begin like it.
        default: Collection of ids that begin otherwise.
    """
    if "/" in text:
        return text
    given = _GIVEN_ID.fullmatch(text)
    return f"{_BY_PREFIX.get(given[1], default) if given else default}/{text}"


def result_of(run: Run) -> str:
    """Returns the resource that a run made; empty where it made none."""
    if isinstance(run, dataset_pb2.DatasetImport):
        return run.dataset_version
    if isinstance(run, analyzer_pb2.Analysis):
        return ""
    return run.model_version


def state_of(run: Run) -> str:
    """Returns a run's state, for example `RUNNING`."""
    return run_pb2.RunState.Name(run.status.state).removeprefix("RUN_STATE_")


def waits_for(run: Run) -> str:
    """Returns what a run in the queue waits for, with its place; empty for others."""
    if not isinstance(run, trainer_pb2.TrainingRun) or not run.HasField("queue"):
        return ""
    place = run.queue
    why = {
        trainer_pb2.WAIT_REASON_SLOTS: f"{place.slots_free} of {place.slots_needed} slots",
        trainer_pb2.WAIT_REASON_RESERVED: f"behind {place.behind}",
        trainer_pb2.WAIT_REASON_AGENTS: f"too few agents for {place.slots_needed} slots",
        trainer_pb2.WAIT_REASON_RUNS: "as many runs as may are at work",
    }
    return f"{place.position} in the queue: {why.get(place.reason, 'waits')}"


def epochs_of(run: Run) -> int:
    """Returns the number of epochs a run is to take; 0 for runs without."""
    return run.spec.epochs if isinstance(run, trainer_pb2.TrainingRun) else 0


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


def plural_of(kind: str) -> str:
    """Returns `TrainingRuns` for `TrainingRun`, `Analyses` for `Analysis`."""
    return f"{kind.removesuffix('is')}es" if kind.endswith("is") else f"{kind}s"
