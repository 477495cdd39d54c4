"""Two protocols of records at the same time: one whole before each operation of the other."""

import pytest

from aimass.trainer.v1.trainer_pb2 import TrainingRun
from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.artifacts.retry import RetryingStore
from common.errors import (
    AimassError,
    FailedPreconditionError,
    NotFoundError,
)
from common.records import RecordStore
from common.testing.crash import (
    CrashingStore,
    Moment,
)
from common.testing.sample_records import RUN, VERSION, run
from tests.contract.record_protocols import (
    REQUEST,
    Protocol,
    create_idempotent,
    create_named_by_chance,
    create_referring,
    delete_run,
    delete_version,
    exists,
    keys,
    prepare_run,
    prepare_versions,
    succeeds,
    update,
)


def interleave(prepare: Protocol, first: Protocol, second: Protocol) -> list[MemoryStore]:
    """Plays `second` whole before each operation of `first`. Returns what each play left."""
    prepared = MemoryStore()
    prepare(prepared)
    counted = CrashingStore(prepared.copy())
    succeeds(first, counted, AimassError)
    left: list[MemoryStore] = []
    for at in range(1, len(counted.operations) + 1):
        store = prepared.copy()

        def plan(number: int, at: int = at, store: MemoryStore = store) -> Moment | None:
            if number == at:
                succeeds(second, store, FailedPreconditionError, NotFoundError)
            return None

        shaken = CrashingStore(store, plan)
        succeeds(first, shaken, FailedPreconditionError, NotFoundError)
        left.append(store)
    return left


@pytest.mark.parametrize(
    ("first", "second"), [(delete_version, create_referring), (create_referring, delete_version)]
)
def test_delete_and_create_in_every_order(first: Protocol, second: Protocol) -> None:
    """Protects safe delete's one promise: no run exists whose data is gone."""
    left = interleave(prepare_versions, first, second)
    outcomes = {(exists(store, RUN), exists(store, VERSION)) for store in left}
    assert len(left) > 4
    assert (True, False) not in outcomes
    assert outcomes <= {(True, True), (False, False), (False, True)}


def create_idempotent_elsewhere(store: ObjectStore) -> object:
    """A repeat for which the server made another id."""
    return RecordStore(store).create(run("trainingRuns/other"), request=REQUEST)


@pytest.mark.parametrize("first", [create_referring, create_named_by_chance])
@pytest.mark.parametrize(
    "second",
    [
        create_idempotent,
        create_referring,
        create_idempotent_elsewhere,
        create_named_by_chance,
    ],
)
def test_two_repeats_in_every_order(first: Protocol, second: Protocol) -> None:
    """Protects idempotence when a repeat overtakes the first call at any point."""
    for store in interleave(prepare_versions, first, second):
        found = RecordStore(store).find("trainingRuns", TrainingRun)
        assert [record.revision for record in found] == [1]


def test_equal_changes_by_two_writers_are_two_changes() -> None:
    """Protects counters: after a lost write nobody takes another's equal write for its own."""
    store = MemoryStore()
    prepare_run(store)

    def lose_the_race(number: int) -> Moment | None:
        if not counted.operations[-1].startswith("replace") or update_count(store):
            return None
        update(store)
        return Moment.LOST

    counted = CrashingStore(store, lose_the_race)
    update(RetryingStore(counted, patience=60))
    assert update_count(store) == 2


def update_count(store: ObjectStore) -> int:
    """How often the run was updated."""
    return RecordStore(store).get(RUN, TrainingRun).resource.status.attempt


def test_two_deletes_in_every_order() -> None:
    """Protects against two deleters that undo each other's work."""
    for store in interleave(prepare_run, delete_run, delete_run):
        assert not exists(store, RUN)
        assert keys(store, "runs/") == keys(store, "references/") == []
