"""OpenLineage events of runs."""

import asyncio
import json
import re
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import run_pb2
from common.artifacts import ObjectInfo
from common.artifacts.memory import MemoryStore
from common.errors import InvalidFieldError, PermissionDeniedError, UnavailableError
from common.records import RecordStore
from common.runs.kind import RunKind
from common.runs.lineage import write_end, write_end_of, write_missing_ends
from common.runs.lineage_writer import LineageWriter
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


class RefusingStore(MemoryStore):
    """A store that refuses lineage.

    Attributes:
        errors: What the next calls about lineage raise.
        complete: Set once the end of a run is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []
        self.complete = threading.Event()

    def create(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        self._refuse(key)
        etag = super().create(key, data)
        if key.endswith("-COMPLETE.json"):
            self.complete.set()
        return etag

    def list(self, prefix: str, after: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        self._refuse(prefix)
        return super().list(prefix, after, recursive=recursive)

    def _refuse(self, key: str) -> None:
        if key.startswith("lineage/") and self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def store() -> RefusingStore:
    """A store with a run that waits."""
    store = RefusingStore()
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


def ended(store: MemoryStore) -> dict[str, Event]:
    """Returns the events once the run's end is written."""
    write_end_of(store, RecordStore(store), KIND, NAME)
    return events(store)


def test_a_run_that_succeeds(store: RefusingStore) -> None:
    """START and COMPLETE, with what went in and what came out; an attempt more adds nothing."""
    RunOwner.acquire(KIND, NAME, store).abandon()
    owner = RunOwner.acquire(KIND, NAME, store)
    assert set(events(store)) == {"START"}

    def finish(run: dataset_pb2.DatasetImport) -> None:
        run.status.lineage.outputs.append("datasets/d/versions/1")

    owner.succeed(finish)
    assert set(events(store)) == {"START"}
    found = ended(store)
    assert set(found) == {"START", "COMPLETE"}
    complete = found["COMPLETE"]
    assert complete["job"]["name"] == NAME
    assert [each["name"] for each in complete["inputs"]] == ["uploads/u"]
    assert [each["name"] for each in complete["outputs"]] == ["datasets/d/versions/1"]
    assert complete["eventTime"] >= found["START"]["eventTime"]


def test_a_run_that_fails(store: RefusingStore) -> None:
    """FAIL carries the public message."""
    RunOwner.acquire(KIND, NAME, store).fail(InvalidFieldError("spec.target", "is missing"))
    found = ended(store)
    assert "is missing" in found["FAIL"]["run"]["facets"]["errorMessage"]["message"]
    assert not found["START"]["run"]["facets"]


def test_a_run_that_is_cancelled(store: RefusingStore) -> None:
    """START and ABORT, also for a run that nobody began."""
    RunOwner.acquire(KIND, NAME, store, closing="gone").publish_cancelled()
    found = ended(store)
    assert set(found) == {"START", "ABORT"}
    assert found["START"]["eventTime"] <= found["ABORT"]["eventTime"]
    assert not found["START"]["eventTime"].startswith("1970")


def test_an_end_that_was_not_written_is_made_up_for(store: RefusingStore) -> None:
    """Protects lineage from a process that died between a run's end and its events."""
    RunOwner.acquire(KIND, NAME, store).succeed()
    before = ended(store)
    for info in list(store.list("lineage/")):
        store.delete(info.key)
    records = RecordStore(store)
    write_missing_ends(store, records, KIND)
    assert events(store) == before
    write_end(store, records.get(NAME, KIND.message).resource)
    assert len(list(store.list("lineage/"))) == 2


def test_lineage_stops_no_run(store: RefusingStore) -> None:
    """A store that refuses the start of a run's lineage, for whatever reason, is borne with."""
    store.errors = [PermissionDeniedError("not here")]
    RunOwner.acquire(KIND, NAME, store).succeed()
    assert not events(store)
    assert set(ended(store)) == {"START", "COMPLETE"}


@asynccontextmanager
async def writing(store: MemoryStore) -> AsyncIterator[LineageWriter[dataset_pb2.DatasetImport]]:
    """Runs a writer that tries again at once."""
    writer = LineageWriter(KIND, store, RecordStore(store), pause=0.01)
    writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


ERRORS = [UnavailableError("away"), PermissionDeniedError("not here"), RuntimeError("odd")]


@pytest.mark.parametrize("at", range(3))
async def test_what_fails_is_tried_again(store: RefusingStore, at: int) -> None:
    """Protects the end of a run's lineage from a store that is away or odd for a while."""
    async with writing(store) as writer:
        RunOwner.acquire(KIND, NAME, store).succeed()
        store.errors = [*ERRORS[at:], *ERRORS]
        writer.note([NAME])
        assert await asyncio.to_thread(store.complete.wait, 20)
    assert set(events(store)) == {"START", "COMPLETE"}


async def test_earlier_ends_are_made_up_for(store: RefusingStore) -> None:
    """The same for runs that ended while no service was there."""
    RunOwner.acquire(KIND, NAME, store).succeed()
    store.errors = list(ERRORS)
    async with writing(store):
        assert await asyncio.to_thread(store.complete.wait, 20)
    assert set(events(store)) == {"START", "COMPLETE"}
