"""OpenLineage events of runs."""

import json
import re
import uuid
from datetime import datetime
from typing import Any

import pytest

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.errors import InvalidFieldError
from common.records import RecordStore
from common.runs.kind import RunKind
from common.runs.lineage import write_end, write_missing_ends
from common.runs.owner import RunOwner

Event = dict[str, Any]
KIND = RunKind("datasetImports", dataset_pb2.DatasetImport)
NAME = "datasetImports/i"

# Required by https://openlineage.io/spec/2-0-2/OpenLineage.json, by definition.
REQUIRED = {
    "BaseEvent": ("eventTime", "producer", "schemaURL"),
    "RunEvent": ("run", "job"),
    "Run": ("runId",),
    "Job": ("namespace", "name"),
    "Dataset": ("namespace", "name"),
    "BaseFacet": ("_producer", "_schemaURL"),
    "ErrorMessageRunFacet": ("message", "programmingLanguage"),
}
EVENT_TYPES = {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")


def check(event: Event, definition: str) -> None:
    """Checks what the schema requires of an object."""
    assert set(REQUIRED[definition]) <= set(event), definition


def check_event(event: Event) -> None:
    """Checks a run event against the published schema."""
    check(event, "BaseEvent")
    check(event, "RunEvent")
    check(event["run"], "Run")
    check(event["job"], "Job")
    for dataset in [*event["inputs"], *event["outputs"]]:
        check(dataset, "Dataset")
    for name, facet in event["run"]["facets"].items():
        check(facet, "BaseFacet")
        if name == "errorMessage":
            check(facet, "ErrorMessageRunFacet")
    assert event["eventType"] in EVENT_TYPES
    assert datetime.fromisoformat(str(event["eventTime"])).tzinfo is not None
    assert URI.fullmatch(str(event["producer"])) and URI.fullmatch(str(event["schemaURL"]))
    uuid.UUID(event["run"]["runId"])


@pytest.fixture
def store() -> MemoryStore:
    """A store with a run that waits."""
    store = MemoryStore()
    run = dataset_pb2.DatasetImport(
        name=NAME, status=run_pb2.RunStatus(state=run_pb2.RUN_STATE_PENDING)
    )
    run.status.create_time.GetCurrentTime()
    run.status.lineage.inputs.append("uploads/u")
    RecordStore(store).create(run)
    return store


def events(store: MemoryStore) -> dict[str, Event]:
    """Returns the events by type, each checked."""
    found = [json.loads(store.read(info.key)[0]) for info in store.list("lineage/")]
    for event in found:
        check_event(event)
    assert len({event["run"]["runId"] for event in found}) <= 1
    return {event["eventType"]: event for event in found}


def test_a_run_that_succeeds(store: MemoryStore) -> None:
    """START and COMPLETE, with what went in and what came out; an attempt more adds nothing."""
    RunOwner.acquire(KIND, NAME, store).abandon()
    owner = RunOwner.acquire(KIND, NAME, store)
    assert set(events(store)) == {"START"}

    def finish(run: dataset_pb2.DatasetImport) -> None:
        run.status.lineage.outputs.append("datasets/d/versions/1")

    owner.succeed(finish)
    found = events(store)
    assert set(found) == {"START", "COMPLETE"}
    complete = found["COMPLETE"]
    assert complete["job"]["name"] == NAME
    assert [each["name"] for each in complete["inputs"]] == ["uploads/u"]
    assert [each["name"] for each in complete["outputs"]] == ["datasets/d/versions/1"]
    assert complete["eventTime"] >= found["START"]["eventTime"]


def test_a_run_that_fails(store: MemoryStore) -> None:
    """FAIL carries the public message."""
    RunOwner.acquire(KIND, NAME, store).fail(InvalidFieldError("spec.target", "is missing"))
    found = events(store)
    assert "is missing" in found["FAIL"]["run"]["facets"]["errorMessage"]["message"]
    assert not found["START"]["run"]["facets"]


def test_a_run_that_is_cancelled(store: MemoryStore) -> None:
    """START and ABORT, also for a run that nobody began."""
    RunOwner.acquire(KIND, NAME, store, closing="gone").publish_cancelled()
    found = events(store)
    assert set(found) == {"START", "ABORT"}
    assert found["START"]["eventTime"] <= found["ABORT"]["eventTime"]
    assert not found["START"]["eventTime"].startswith("1970")


def test_an_end_that_was_not_written_is_made_up_for(store: MemoryStore) -> None:
    """Protects lineage from a process that died between a run's end and its events."""
    RunOwner.acquire(KIND, NAME, store).succeed()
    before = events(store)
    for info in list(store.list("lineage/")):
        store.delete(info.key)
    records = RecordStore(store)
    write_missing_ends(store, records, KIND)
    assert events(store) == before
    write_end(store, records.get(NAME, KIND.message).resource)
    assert len(list(store.list("lineage/"))) == 2
