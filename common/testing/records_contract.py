"""What `RecordStore` must do on every object store; each test derives from `RecordsContract`."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from aimass.catalog.v1.dataset_pb2 import DatasetVersion
from aimass.trainer.v1.trainer_pb2 import TrainingRun
from common.artifacts import ObjectStore
from common.errors import (
    AlreadyExistsError,
    ConflictError,
    FailedPreconditionError,
    InvalidFieldError,
    NotFoundError,
)
from common.records import RecordState, RecordStore
from common.testing.lists_contract import ListsContract
from common.testing.sample_records import RUN, VERSION, request, run, start

WRONG_NAMES = ["", "runs", "../a/b", "a/../b", "A/b", "a/B", "a/b/", "a/b/c"]


class RecordsContract(ListsContract):
    """The tests. A subclass gives a fixture `store` that opens a fresh, empty bucket."""

    @pytest.fixture
    def records(self, store: ObjectStore) -> RecordStore:
        """The records under test."""
        return RecordStore(store)

    @pytest.fixture
    def others(self, store: ObjectStore) -> RecordStore:
        """The same records as another process has them."""
        return RecordStore(store)

    def test_what_was_created_is_read_back(self, records: RecordStore, others: RecordStore) -> None:
        """Protects the basic promise, in the process itself and in another."""
        created = records.create(run())
        for reader in (records, others):
            record = reader.get(RUN, TrainingRun)
            assert record == created
            assert record.resource == run()
            assert (record.revision, record.state) == (1, RecordState.ACTIVE)

    def test_a_missing_resource_is_named(self, records: RecordStore) -> None:
        """Protects the caller's error: NOT_FOUND says what was not found."""
        calls: list[Callable[[], object]] = [
            lambda: records.get(RUN, TrainingRun),
            lambda: records.update(RUN, TrainingRun, start),
            lambda: records.delete(RUN, TrainingRun),
            lambda: records.add_reference("models/m/versions/1", RUN),
        ]
        for call in calls:
            with pytest.raises(NotFoundError, match=RUN):
                call()

    def test_unchecked_names_become_no_keys(self, records: RecordStore, store: ObjectStore) -> None:
        """Protects other objects from names that nobody checked."""
        for name in WRONG_NAMES:
            with pytest.raises(InvalidFieldError):
                records.create(TrainingRun(name=name))
            with pytest.raises(InvalidFieldError):
                records.get(name, TrainingRun)
        assert list(store.list("")) == []

    def test_create_refuses_what_exists(self, records: RecordStore) -> None:
        """Protects client-chosen ids from being taken twice."""
        records.create(run(team="first"))
        with pytest.raises(AlreadyExistsError, match=RUN):
            records.create(run(team="second"))
        with pytest.raises(AlreadyExistsError, match=RUN):
            records.create(run(team="second"), request=request(run()))
        assert records.get(RUN, TrainingRun).resource.labels["team"] == "first"

    def test_a_refused_create_may_be_repeated_with_its_request_id(
        self, records: RecordStore
    ) -> None:
        """Protects against a request id that is spent on a failure."""
        records.create(run(team="first"))
        identity = request(run())
        with pytest.raises(AlreadyExistsError):
            records.create(run(team="second"), request=identity)
        records.delete(RUN, TrainingRun)
        assert records.create(run(team="second"), request=identity).revision > 1

    def test_a_repeat_of_create_returns_the_first_result(
        self, records: RecordStore, others: RecordStore
    ) -> None:
        """Protects clients that repeat: one resource, though the server made another id."""
        identity = request(run())
        first = records.create(run("trainingRuns/made-1"), request=identity)
        again = others.create(run("trainingRuns/made-2"), request=identity)
        assert again == first
        assert len(records.find("trainingRuns", TrainingRun)) == 1
        others.update(first.name, TrainingRun, start)
        assert records.create(run("trainingRuns/made-3"), request=identity).revision == 2
        records.create(run("trainingRuns/taken"))
        assert others.create(run("trainingRuns/taken"), request=identity).name == first.name

    def test_a_request_id_fits_one_payload(self, records: RecordStore) -> None:
        """Protects against a second request that hides behind the first one's id."""
        records.create(run(), request=request(run()))
        with pytest.raises(AlreadyExistsError, match="request_id"):
            records.create(run("trainingRuns/b"), request=request(run(team="other")))
        assert len(records.find("trainingRuns", TrainingRun)) == 1

    def test_a_repeat_brings_no_deleted_resource_back(self, records: RecordStore) -> None:
        """Protects a deletion from a late repeat of Create."""
        identity = request(run())
        records.create(run(), request=identity)
        records.delete(RUN, TrainingRun)
        with pytest.raises(NotFoundError, match="deleted since"):
            records.create(run(), request=identity)
        records.create(run(team="new"))
        with pytest.raises(AlreadyExistsError):
            records.create(run(), request=identity)

    def test_racing_repeats_create_one_resource(self, records: RecordStore) -> None:
        """Protects idempotence against repeats that overlap."""
        identity = request(run())

        def create(number: int) -> str:
            return records.create(run(f"trainingRuns/made-{number}"), request=identity).name

        with ThreadPoolExecutor(8) as pool:
            names = set(pool.map(create, range(8)))
        assert len(names) == 1
        assert [record.name for record in records.find("trainingRuns", TrainingRun)] == [*names]

    def test_racing_creates_of_one_id_have_one_winner(self, records: RecordStore) -> None:
        """Protects client-chosen ids under load."""

        def create(number: int) -> bool:
            try:
                records.create(run(team=str(number)))
            except AlreadyExistsError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(create, range(8)))
        assert won.count(True) == 1
        assert records.get(RUN, TrainingRun).resource.labels["team"] == str(won.index(True))

    def test_update_counts_revisions(self, records: RecordStore, others: RecordStore) -> None:
        """Protects readers that tell states apart, also equal ones (A, B, A)."""
        record = records.create(run(team="A"))
        etags = {record.etag}
        for number, team in enumerate(["B", "A", "A"], start=2):
            record = others.update(RUN, TrainingRun, partial(_set_team, team))
            assert record.revision == number
            assert record.etag not in etags
            etags.add(record.etag)
        assert records.get(RUN, TrainingRun) == record

    def test_update_without_a_change_writes_nothing(self, records: RecordStore) -> None:
        """Protects the store from writes that say nothing, and the record from a dropped change."""
        created = records.create(run())

        def look(resource: TrainingRun) -> None:
            resource.labels["team"] = "changed, but not returned"

        assert records.update(RUN, TrainingRun, look) == created
        assert records.get(RUN, TrainingRun) == created

    def test_update_with_a_stale_etag_is_a_conflict(self, records: RecordStore) -> None:
        """Protects a client that read before another wrote."""
        created = records.create(run())
        records.update(RUN, TrainingRun, start, etag=created.etag)
        with pytest.raises(ConflictError):
            records.update(RUN, TrainingRun, start, etag=created.etag)

    def test_no_update_is_lost(self, records: RecordStore, others: RecordStore) -> None:
        """Protects counters: racing updates are applied one after the other."""
        records.create(run())

        def count(number: int) -> None:
            (records, others)[number % 2].update(RUN, TrainingRun, start)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(count, range(24)))
        record = records.get(RUN, TrainingRun)
        # A write whose outcome was unknown and that was overwritten at once is applied again.
        assert record.resource.status.attempt >= 24
        assert record.revision == record.resource.status.attempt + 1

    def test_deleted_is_gone_and_the_id_is_free(
        self, records: RecordStore, others: RecordStore
    ) -> None:
        """Protects against a tombstone that shows, and against a revision that comes twice."""
        records.create(run(team="old"))
        revision = records.update(RUN, TrainingRun, start).revision
        assert others.find("trainingRuns", TrainingRun)
        records.delete(RUN, TrainingRun)
        for reader in (records, others):
            with pytest.raises(NotFoundError):
                reader.get(RUN, TrainingRun)
            assert reader.find("trainingRuns", TrainingRun) == []
        with pytest.raises(NotFoundError):
            others.delete(RUN, TrainingRun)
        assert others.create(run(team="new")).revision > revision
        assert records.get(RUN, TrainingRun).resource.labels["team"] == "new"

    def test_delete_removes_what_belongs_to_the_resource(
        self, records: RecordStore, store: ObjectStore
    ) -> None:
        """Protects the store from the output of deleted runs, and the output of others."""
        records.create(run())
        for key in ("a/events/1", "a/x/y", "ab/z"):
            store.write(f"runs/trainingRuns/{key}", b"x")
        records.delete(RUN, TrainingRun, purge=["runs/trainingRuns/a/"])
        assert [info.key for info in store.list("runs/")] == ["runs/trainingRuns/ab/z"]

    def test_a_check_stops_a_delete(self, records: RecordStore) -> None:
        """Protects resources in a state in which they must not go."""

        def check(resource: TrainingRun) -> None:
            raise FailedPreconditionError(f"{resource.name} is running")

        created = records.create(run())
        with pytest.raises(FailedPreconditionError, match="is running"):
            records.delete(RUN, TrainingRun, check=check)
        assert records.get(RUN, TrainingRun) == created

    def test_what_is_referred_to_stays(self, records: RecordStore, others: RecordStore) -> None:
        """Protects lineage: FAILED_PRECONDITION names the referrers until the last is gone."""
        records.create(DatasetVersion(name=VERSION))
        for number in range(7):
            records.create(run(f"trainingRuns/r{number}"), references=[VERSION])
        assert len(records.referrers(VERSION)) == 7
        with pytest.raises(FailedPreconditionError, match=r"trainingRuns/r\d, .* and more"):
            others.delete(VERSION, DatasetVersion)
        assert others.get(VERSION, DatasetVersion).state is RecordState.ACTIVE
        for number in range(6):
            others.delete(f"trainingRuns/r{number}", TrainingRun)
        with pytest.raises(FailedPreconditionError, match="used by trainingRuns/r6;"):
            others.delete(VERSION, DatasetVersion)
        others.delete("trainingRuns/r6", TrainingRun)
        records.delete(VERSION, DatasetVersion)

    def test_references_are_added_and_removed(self, records: RecordStore) -> None:
        """Protects references that come after the referrer's creation."""
        records.create(DatasetVersion(name=VERSION))
        records.create(run())
        records.add_reference(RUN, VERSION)
        records.add_reference(RUN, VERSION)
        assert records.referrers(VERSION) == (RUN,)
        with pytest.raises(FailedPreconditionError, match=RUN):
            records.delete(VERSION, DatasetVersion)
        records.remove_reference(RUN, VERSION)
        records.remove_reference(RUN, VERSION)
        assert records.referrers(VERSION) == ()
        records.delete(VERSION, DatasetVersion)

    def test_a_reference_to_nothing_creates_nothing(
        self, records: RecordStore, store: ObjectStore
    ) -> None:
        """Protects against half a create: no record, no marker."""
        records.create(DatasetVersion(name=VERSION))
        with pytest.raises(NotFoundError, match="versions/2"):
            records.create(run(), references=[VERSION, "datasets/digits/versions/2"])
        with pytest.raises(NotFoundError):
            records.get(RUN, TrainingRun)
        assert list(store.list("references/")) == []

    def test_racing_delete_and_reference_never_both_succeed(self, records: RecordStore) -> None:
        """Protects safe delete's one promise, with real threads."""
        for number in range(10):
            target = f"datasets/d/versions/{number + 1}"
            records.create(DatasetVersion(name=target))
            referrer = run(f"trainingRuns/r{number}")
            gate = threading.Barrier(2)
            calls: list[Callable[[], object]] = [
                partial(records.delete, target, DatasetVersion),
                partial(records.create, referrer, references=[target]),
            ]
            with ThreadPoolExecutor(2) as pool:
                outcomes = list(pool.map(partial(_succeeds, gate), calls))
            assert not all(outcomes)


def _set_team(team: str, resource: TrainingRun) -> TrainingRun:
    resource.labels["team"] = team
    return resource


def _succeeds(gate: threading.Barrier, call: Callable[[], object]) -> bool:
    gate.wait()
    try:
        call()
    except (NotFoundError, FailedPreconditionError):
        return False
    return True
