"""Every protocol of records with a crash or a failure at every operation, then taken over.

Each loop plays dozens of cases: before, after, ambiguous and lost, for every operation.
"""

from datetime import UTC, datetime, timedelta

import pytest

from aimass.catalog.v1.dataset_pb2 import DatasetVersion
from aimass.trainer.v1.trainer_pb2 import TrainingRun
from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.artifacts.retry import RetryingStore
from common.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)
from common.records import RecordState, RecordStore
from common.testing.crash import (
    FAILURES,
    Crash,
    SimulatedCrash,
    crashes,
)
from common.testing.sample_records import RUN, VERSION, run
from tests.contract.record_protocols import (
    OUTPUT,
    REQUEST,
    SECOND_VERSION,
    Protocol,
    create,
    create_idempotent,
    create_named_by_chance,
    create_referring,
    delete_run,
    delete_second_version,
    delete_version,
    exists,
    keys,
    prepare_nothing,
    prepare_run,
    prepare_tombstone,
    prepare_versions,
    refer,
    succeeds,
    update,
)


class Clock:
    """The store's clock, in the test's hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def assert_honest(crash: Crash) -> None:
    """The caller of a protocol that went wrong is told so, or it went right all the same."""
    assert crash.error is None or isinstance(crash.error, SimulatedCrash | UnavailableError), crash


def test_create_happens_once() -> None:
    """Protects against a half-created resource: a repeat creates it or finds it whole."""
    for crash in crashes(prepare_nothing, create):
        assert_honest(crash)
        existed = exists(crash.store, RUN)
        assert succeeds(create, crash.store, AlreadyExistsError) is not existed, crash
        record = RecordStore(crash.store).get(RUN, TrainingRun)
        assert (record.resource, record.revision) == (run(), 1), crash
        assert keys(crash.store, "") == ["records/trainingRuns/a.json"], crash


@pytest.mark.parametrize("prepare", [prepare_nothing, prepare_tombstone])
def test_an_idempotent_create_happens_once(prepare: Protocol) -> None:
    """Protects repeats: whatever was left, every repeat returns the one resource."""
    for crash in crashes(prepare, create_idempotent):
        assert_honest(crash)
        proposed = "trainingRuns/other"
        first = RecordStore(crash.store).create(run(proposed), request=REQUEST)
        again = RecordStore(crash.store).create(run("trainingRuns/third"), request=REQUEST)
        assert first == again, crash
        found = RecordStore(crash.store).find("trainingRuns", TrainingRun)
        assert [record.name for record in found] == [first.name], crash
        assert first.resource == run(first.name), crash


def test_a_referring_create_is_completed_by_its_repeat() -> None:
    """Protects lineage: a run that exists holds all its data."""
    for crash in crashes(prepare_versions, create_referring):
        assert_honest(crash)
        if exists(crash.store, RUN):
            assert holds_its_data(crash.store), crash
        create_referring(crash.store)
        assert holds_its_data(crash.store), crash


def test_a_create_under_a_name_by_chance_happens_once() -> None:
    """Protects repeats where nobody looks whether a name is taken before it is written."""
    for crash in crashes(prepare_versions, create_named_by_chance):
        assert_honest(crash)
        first = create_named_by_chance(crash.store)
        assert create_named_by_chance(crash.store) == first, crash
        assert len(RecordStore(crash.store).find("trainingRuns", TrainingRun)) == 1, crash


def holds_its_data(store: ObjectStore) -> bool:
    """Whether nobody can delete what the run refers to."""
    deletions = (delete_version, delete_second_version)
    return not any(succeeds(delete, store, FailedPreconditionError) for delete in deletions)


def test_an_abandoned_create_blocks_its_data_for_a_while_only(clock: Clock) -> None:
    """Protects data from markers that nobody will ever remove."""
    for crash in crashes(
        prepare_versions, create_referring, make_store=lambda: MemoryStore(clock=clock)
    ):
        clock.advance(timedelta(minutes=11))
        held = exists(crash.store, RUN)
        deleted = succeeds(delete_version, crash.store, FailedPreconditionError)
        assert deleted is not held, crash
        assert bool(keys(crash.store, f"references/{VERSION}/")) is held, crash


def test_update_is_never_half_done() -> None:
    """Protects compare-and-swap: each write counts once, and none is lost."""
    for crash in crashes(prepare_run, update):
        assert_honest(crash)
        before = RecordStore(crash.store).get(RUN, TrainingRun)
        assert before.resource.status.attempt in (0, 1), crash
        assert crash.error is not None or before.resource.status.attempt == 1, crash
        update(crash.store)
        after = RecordStore(crash.store).get(RUN, TrainingRun)
        assert after.resource.status.attempt == before.resource.status.attempt + 1, crash
        assert after.revision == before.revision + 1, crash


def test_a_reference_holds_once_it_was_acknowledged() -> None:
    """Protects against a reference that its referrer believes in and the target does not know."""
    for crash in crashes(prepare_run, refer):
        assert_honest(crash)
        refer(crash.store)
        assert RecordStore(crash.store).referrers(SECOND_VERSION) == (RUN,), crash
        RecordStore(crash.store).remove_reference(RUN, SECOND_VERSION)
        assert keys(crash.store, f"references/{SECOND_VERSION}/") == [], crash


def test_delete_is_completed_by_its_repeat() -> None:
    """Protects against a deletion that leaves output, references, or a resource for ever."""
    for crash in crashes(prepare_run, delete_run):
        assert_honest(crash)
        succeeds(delete_run, crash.store, NotFoundError)
        assert not exists(crash.store, RUN), crash
        assert keys(crash.store, "runs/") == keys(crash.store, "references/") == [], crash
        delete_version(crash.store)
        create(crash.store)
        assert RecordStore(crash.store).get(RUN, TrainingRun).resource == run(), crash


def test_output_goes_only_after_the_resource() -> None:
    """Protects readers: while a run can be found, its output is whole."""
    for crash in crashes(prepare_run, delete_run):
        if exists(crash.store, RUN):
            assert len(keys(crash.store, OUTPUT)) == 2, crash
            assert RecordStore(crash.store).referrers(VERSION) == (RUN,), crash


def test_an_abandoned_delete_is_backed_out_by_a_writer(clock: Clock) -> None:
    """Protects resources whose deleter died: after a while they can be used as before."""
    for crash in crashes(prepare_run, delete_run, make_store=lambda: MemoryStore(clock=clock)):
        if not exists(crash.store, RUN):
            continue
        records = RecordStore(crash.store)
        deleting = records.get(RUN, TrainingRun).state is RecordState.DELETING
        assert succeeds(update, crash.store, FailedPreconditionError) is not deleting, crash
        clock.advance(timedelta(minutes=2))
        update(crash.store)
        assert records.get(RUN, TrainingRun).state is RecordState.ACTIVE, crash
        assert len(keys(crash.store, OUTPUT)) == 2, crash


def test_an_abandoned_delete_is_completed_by_a_create_anew(clock: Clock) -> None:
    """Protects a new run from the output of the old one with its id."""
    for crash in crashes(prepare_run, delete_run, make_store=lambda: MemoryStore(clock=clock)):
        clock.advance(timedelta(minutes=2))
        existed = exists(crash.store, RUN)
        assert succeeds(create, crash.store, AlreadyExistsError) is not existed, crash
        if not existed:
            assert keys(crash.store, "runs/") == keys(crash.store, "references/") == [], crash


def test_a_refused_delete_changes_nothing(clock: Clock) -> None:
    """Protects what is referred to: a refused deletion that crashed is backed out."""
    for crash in crashes(prepare_run, refused_delete, make_store=lambda: MemoryStore(clock=clock)):
        assert_honest(crash)
        refused_delete(crash.store)
        record = RecordStore(crash.store).get(VERSION, DatasetVersion)
        assert record.state is RecordState.ACTIVE, crash


def refused_delete(store: ObjectStore) -> None:
    """Delete of a version that a run refers to."""
    with pytest.raises(FailedPreconditionError, match=RUN):
        delete_version(store)


PROTOCOLS: list[tuple[Protocol, Protocol]] = [
    (prepare_nothing, create),
    (prepare_nothing, create_idempotent),
    (prepare_tombstone, create_idempotent),
    (prepare_versions, create_referring),
    (prepare_versions, create_named_by_chance),
    (prepare_run, update),
    (prepare_run, refer),
    (prepare_run, delete_run),
    (prepare_run, refused_delete),
]


@pytest.mark.parametrize(("prepare", "protocol"), PROTOCOLS)
def test_retries_hide_every_single_failure(prepare: Protocol, protocol: Protocol) -> None:
    """Protects callers: one failed operation, done or not, is nothing that they learn of."""
    for crash in crashes(
        prepare, lambda store: protocol(RetryingStore(store, patience=60)), moments=FAILURES
    ):
        assert crash.error is None, crash
        if protocol is update:
            attempt = RecordStore(crash.store).get(RUN, TrainingRun).resource.status.attempt
            assert attempt == 1, crash


def test_hundreds_of_cases() -> None:
    """Protects the reach of this file: the protocols' operations times the ways to fail."""
    cases = sum(len(list(crashes(prepare, protocol))) for prepare, protocol in PROTOCOLS)
    assert cases > 150
