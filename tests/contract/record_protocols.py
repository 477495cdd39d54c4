"""Protocols of records as functions of a store, to be crashed and interleaved."""

import secrets
from collections.abc import Callable

from aimass.catalog.v1.dataset_pb2 import DatasetVersion
from aimass.trainer.v1.trainer_pb2 import TrainingRun
from common.artifacts import ObjectStore
from common.errors import (
    AimassError,
    NotFoundError,
)
from common.records import RecordStore
from common.testing.sample_records import RUN, VERSION, request, run, start

SECOND_VERSION = "datasets/digits/versions/2"
OUTPUT = "runs/trainingRuns/a/"
REQUEST = request(run())

Protocol = Callable[[ObjectStore], object]


def prepare_nothing(store: ObjectStore) -> None:
    """An empty store."""


def prepare_run(store: ObjectStore) -> None:
    """A run with output that refers to a data set version."""
    prepare_versions(store)
    RecordStore(store).create(run(), references=[VERSION])
    store.write(f"{OUTPUT}events/1", b"x")
    store.write(f"{OUTPUT}attempts/1/model", b"x")


def prepare_versions(store: ObjectStore) -> None:
    """Two data set versions."""
    for name in (VERSION, SECOND_VERSION):
        RecordStore(store).create(DatasetVersion(name=name))


def prepare_tombstone(store: ObjectStore) -> None:
    """A run that was deleted."""
    records = RecordStore(store)
    records.create(run(team="old"))
    records.delete(RUN, TrainingRun)


def create(store: ObjectStore) -> object:
    """Create without a request id."""
    return RecordStore(store).create(run())


def create_idempotent(store: ObjectStore) -> object:
    """Create with a request id."""
    return RecordStore(store).create(run(), request=REQUEST)


def create_referring(store: ObjectStore) -> object:
    """Idempotent create with two references."""
    references = [VERSION, SECOND_VERSION]
    return RecordStore(store).create(run(), request=REQUEST, references=references)


def create_named_by_chance(store: ObjectStore) -> object:
    """Idempotent create under a name that the server made, which differs with each call."""
    made = f"trainingRuns/made-{secrets.token_hex(8)}"
    return RecordStore(store).create(
        run(made), request=REQUEST, references=[VERSION, SECOND_VERSION], is_new=True
    )


def update(store: ObjectStore) -> object:
    """An update that is not idempotent."""
    return RecordStore(store).update(RUN, TrainingRun, start)


def refer(store: ObjectStore) -> None:
    """A reference that comes after the referrer's creation."""
    RecordStore(store).add_reference(RUN, SECOND_VERSION)


def delete_run(store: ObjectStore) -> None:
    """Delete of a run with output and a reference."""
    RecordStore(store).delete(RUN, TrainingRun, purge=[OUTPUT])


def delete_version(store: ObjectStore) -> None:
    """Delete of a data set version."""
    RecordStore(store).delete(VERSION, DatasetVersion)


def delete_second_version(store: ObjectStore) -> None:
    """Delete of the other one."""
    RecordStore(store).delete(SECOND_VERSION, DatasetVersion)


def succeeds(protocol: Protocol, store: ObjectStore, *refusals: type[AimassError]) -> bool:
    """Whether a protocol succeeds, as opposed to being refused in one of these ways."""
    try:
        protocol(store)
    except refusals:
        return False
    return True


def exists(store: ObjectStore, name: str) -> bool:
    """Whether there is a resource, seen by a fresh process."""
    return succeeds(lambda some: RecordStore(some).get(name, TrainingRun), store, NotFoundError)


def keys(store: ObjectStore, prefix: str) -> list[str]:
    """The keys under a prefix."""
    return [info.key for info in store.list(prefix)]
