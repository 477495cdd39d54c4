"""Lineage of runs as OpenLineage events in the store, for tools that draw it.

An event is an object of its own under `lineage/`, written once per transition: its content follows
from the run's record, so whoever writes it again changes nothing.

Events were validated against the published schemas that are named below (August 2026).
"""

import json
import logging
from contextlib import suppress

from google.protobuf.timestamp_pb2 import Timestamp

from aimass.type.v1 import run_pb2
from common.artifacts import ObjectChangedError, ObjectStore
from common.errors import AimassError, NotFoundError
from common.records import RecordStore
from common.runs.kind import M, RunKind, is_terminal, name_of, status_of
from common.runs.publishing import run_uuid

START = "START"

_PREFIX = "lineage/"
_PRODUCER = "urn:aimass:runs"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_ERROR_SCHEMA = (
    "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
)
_ENDS = {
    run_pb2.RUN_STATE_SUCCEEDED: "COMPLETE",
    run_pb2.RUN_STATE_FAILED: "FAIL",
    run_pb2.RUN_STATE_CANCELLED: "ABORT",
}

_log = logging.getLogger(__name__)


def write_start(store: ObjectStore, run: M) -> None:
    """Writes that a run has begun. Lineage never stops a run: what fails is made up at its end."""
    try:
        _write_start(store, run)
    except AimassError as error:
        _log.warning("the lineage of %s waits: %s", name_of(run), error)


def write_end(store: ObjectStore, run: M) -> None:
    """Writes how a run ended, if it has.

    Every run has a START, as the specification wants: one that nobody began started as it ended.

    Raises:
        AimassError: The store is away, or refuses it.
    """
    if is_terminal(run):
        _write_start(store, run)
        _write(store, run, _ENDS[status_of(run).state], status_of(run).end_time)


def write_end_of(store: ObjectStore, records: RecordStore, kind: RunKind[M], name: str) -> None:
    """Writes how the run of a name ended, if it has and was not deleted since. See `write_end`."""
    try:
        run = records.get(name, kind.message).resource
    except NotFoundError:
        return
    write_end(store, run)


def write_missing_ends(store: ObjectStore, records: RecordStore, kind: RunKind[M]) -> None:
    """Writes the events of ended runs that a crash kept from being written. See `write_end`."""
    written = {info.key for info in store.list(f"{_PREFIX}{kind.collection}/")}
    for record in records.find(kind.collection, kind.message):
        run = record.resource
        if is_terminal(run) and not {_key(run, each) for each in _events_of(run)} <= written:
            write_end(store, run)


def event_of(store: ObjectStore, run: M, event_type: str, time: Timestamp) -> dict[str, object]:
    """Returns an OpenLineage run event."""
    status = status_of(run)
    namespace = f"s3://{store.bucket}"
    facets: dict[str, object] = {}
    if event_type != START and status.HasField("error"):
        facets["errorMessage"] = {
            "_producer": _PRODUCER,
            "_schemaURL": _ERROR_SCHEMA,
            "message": status.error.message,
            "programmingLanguage": "python",
        }
    return {
        "eventType": event_type,
        "eventTime": time.ToJsonString(),
        "producer": _PRODUCER,
        "schemaURL": _SCHEMA,
        "run": {"runId": run_uuid(run), "facets": facets},
        "job": {"namespace": namespace, "name": name_of(run)},
        "inputs": [{"namespace": namespace, "name": name} for name in status.lineage.inputs],
        "outputs": [{"namespace": namespace, "name": name} for name in status.lineage.outputs],
    }


def _events_of(run: M) -> tuple[str, str]:
    return START, _ENDS[status_of(run).state]


def _write_start(store: ObjectStore, run: M) -> None:
    status = status_of(run)
    _write(store, run, START, status.start_time if status.start_time.seconds else status.end_time)


def _write(store: ObjectStore, run: M, event_type: str, time: Timestamp) -> None:
    body = json.dumps(event_of(store, run, event_type, time), indent=1).encode()
    with suppress(ObjectChangedError):  # It is written already.
        store.create(_key(run, event_type), body)


def _key(run: M, event_type: str) -> str:
    created = status_of(run).create_time.ToMilliseconds()
    return f"{_PREFIX}{name_of(run)}/{created}-{event_type}.json"
