"""The calls of all kinds of runs."""

from unittest.mock import MagicMock

import pytest

from aimass.trainer.v1 import trainer_pb2
from common.cli.connection import Clients, Endpoint
from common.cli.documents import KINDS
from common.cli.errors import CliError
from common.cli.run_kinds import (
    NAMES,
    RunCalls,
    all_calls,
    calls_for,
    full_name,
    plural_of,
    waits_for,
)
from common.services import SERVICE_PORTS


@pytest.fixture
def clients() -> Clients:
    """Clients that call nobody: opening a channel dials nothing."""
    return Clients(Endpoint(dict.fromkeys(SERVICE_PORTS, "127.0.0.1:1"), "token"))


def test_every_kind_has_every_method(clients: Clients) -> None:
    """Protects commands from a method or message that is named otherwise."""
    kinds = [each for each in KINDS if each not in ("Study", "TuningPolicy")]  # They are no runs.
    assert len(all_calls(clients)) == len(kinds)
    plurals = [plural_of(each) for each in kinds]
    assert "Analyses" in plurals
    assert all(f"`{each[0].lower()}{each[1:]}/<id>`" in NAMES for each in plurals)
    for calls in all_calls(clients):
        for verb in ("Get", "Cancel", "Delete", "Watch"):
            method, request = calls._method(verb, name="x/y")
            assert callable(method)
            assert request.name == "x/y"


@pytest.mark.parametrize(
    "name",
    [
        "analyses/a",
        "trainingRuns/a",
        "datasetImports/a",
        "modelImports/a",
        "outlierScans/a",
        "pruningRuns/a",
        "tuningRuns/a",
    ],
)
def test_pages_follow_each_other(clients: Clients, name: str) -> None:
    """Protects long lists: every page is read, with the same filter."""
    calls = calls_for(clients, name)
    kind, messages = calls._kind, calls._messages
    method = f"List{plural_of(kind)}"
    run, answer = getattr(messages, kind), getattr(messages, f"{method}Response")
    (field,) = [each.name for each in answer.DESCRIPTOR.fields if each.message_type]
    stub = MagicMock()
    asked: list[str] = []

    def list_runs(request: object) -> object:
        asked.append(f"{request.filter} {request.page_token}")  # type: ignore[attr-defined]
        token = "" if len(asked) == 2 else "more"
        return answer(**{field: [run(name=f"{kind}-{len(asked)}")], "next_page_token": token})

    setattr(stub, method, list_runs)
    found = [each.name for each in RunCalls(kind, messages, stub).pages("state=FAILED")]
    assert found == [f"{kind}-1", f"{kind}-2"]
    assert asked == ["state=FAILED ", "state=FAILED more"]


def test_names(clients: Clients) -> None:
    """An id alone is a training run; what is no run is refused with what would be one."""
    assert full_name("a") == "trainingRuns/a"
    assert full_name("modelImports/a") == "modelImports/a"
    assert full_name("tune-k7rnfucs27") == "tuningRuns/tune-k7rnfucs27"
    assert full_name("a", default="analyses") == "analyses/a"
    with pytest.raises(CliError, match="modelImports/<id>"):
        calls_for(clients, "models/a")


def test_run_in_the_queue_says_what_it_waits_for() -> None:
    """Protects who looks at a list of runs: place and reason stand where the stage would."""
    place = trainer_pb2.QueuePlace(
        position=2, reason=trainer_pb2.WAIT_REASON_SLOTS, slots_needed=4, slots_free=1
    )
    assert waits_for(trainer_pb2.TrainingRun(queue=place)) == "2 in the queue: 1 of 4 slots"
    place.reason, place.behind = trainer_pb2.WAIT_REASON_RESERVED, "trainingRuns/large"
    run = trainer_pb2.TrainingRun(queue=place)
    assert waits_for(run) == "2 in the queue: behind trainingRuns/large"
    assert waits_for(trainer_pb2.TrainingRun()) == ""
