"""What lists of `RecordStore` must do on every object store."""

from collections.abc import Callable
from functools import partial

import pytest

from aimass.catalog.v1.dataset_pb2 import Dataset, DatasetVersion
from aimass.trainer.v1.trainer_pb2 import TrainingRun
from common.errors import InvalidFieldError
from common.records import RecordStore
from common.testing.sample_records import RUN, VERSION, run, start


class ListsContract:
    """The tests. A subclass gives the fixtures `records` and `others` on one fresh bucket."""

    def test_lists_are_newest_first(self, records: RecordStore, others: RecordStore) -> None:
        """Protects the order that the contract promises; ties go by name."""
        for name, created in (("b", 5), ("a", 5), ("z", 1), ("m", 9)):
            records.create(run(f"trainingRuns/{name}", created=created))
        for reader in (records, others):
            page = reader.list("trainingRuns", TrainingRun)
            assert [item.name[-1] for item in page.resources] == ["m", "a", "b", "z"]
            assert page.next_page_token == ""

    def test_lists_see_what_other_processes_did(
        self, records: RecordStore, others: RecordStore
    ) -> None:
        """Protects against an index that serves what was: create, update and delete show."""
        assert others.find("trainingRuns", TrainingRun) == []
        records.create(run())
        assert [record.name for record in others.find("trainingRuns", TrainingRun)] == [RUN]
        records.update(RUN, TrainingRun, start)
        assert others.find("trainingRuns", TrainingRun, "state=RUNNING")
        records.delete(RUN, TrainingRun)
        assert others.find("trainingRuns", TrainingRun) == []

    def test_pages_cover_the_list_once(self, records: RecordStore) -> None:
        """Protects clients that page while resources come and go."""
        for number in range(7):
            records.create(run(f"trainingRuns/r{number}", created=number))
        page = records.list("trainingRuns", TrainingRun, page_size=2)
        names = [item.name for item in page.resources]
        records.create(run("trainingRuns/new", created=100))
        records.delete("trainingRuns/r6", TrainingRun)
        while token := page.next_page_token:
            page = records.list("trainingRuns", TrainingRun, page_size=2, page_token=token)
            names += [item.name for item in page.resources]
        assert names == [f"trainingRuns/r{number}" for number in reversed(range(7))]

    def test_a_collection_does_not_hold_what_lies_below(self, records: RecordStore) -> None:
        """Protects ListDatasets from versions, and versions of one data set from another's."""
        records.create(Dataset(name="datasets/digits"))
        records.create(Dataset(name="datasets/iris"))
        records.create(DatasetVersion(name=VERSION))
        assert len(records.find("datasets", Dataset)) == 2
        assert len(records.find("datasets/digits/versions", DatasetVersion)) == 1
        assert records.find("datasets/iris/versions", DatasetVersion) == []

    def test_lists_give_copies(self, records: RecordStore) -> None:
        """Protects the index from callers that change what they got."""
        records.create(run())

        def shorten(resource: TrainingRun) -> TrainingRun:
            resource.ClearField("labels")
            return resource

        records.find("trainingRuns", TrainingRun)[0].resource.labels["team"] = "changed"
        short = records.list("trainingRuns", TrainingRun, summary=shorten).resources
        assert short[0].labels == {}
        assert records.list("trainingRuns", TrainingRun).resources == [run()]

    def test_wrong_list_parameters_are_named(self, records: RecordStore) -> None:
        """Protects the caller's error: INVALID_ARGUMENT names the field."""
        ask = partial(records.list, "trainingRuns", TrainingRun)
        calls: list[tuple[str, Callable[[], object]]] = [
            ("page_size", partial(ask, page_size=-1)),
            ("page_size", partial(ask, page_size=1001)),
            ("page_token", partial(ask, page_token="nonsense")),
            ("page_token", partial(ask, page_token="é")),
            ("filter", partial(ask, filter="colour=red")),
            ("filter", partial(ask, filter="state=ASLEEP")),
        ]
        for field, call in calls:
            with pytest.raises(InvalidFieldError) as raised:
                call()
            assert [violation.field for violation in raised.value.violations] == [field]

    def test_a_page_token_fits_its_query_only(self, records: RecordStore) -> None:
        """Protects against pages of one list that go on in another."""
        for number in range(3):
            records.create(run(f"trainingRuns/r{number}"))
        token = records.list("trainingRuns", TrainingRun, page_size=1).next_page_token
        with pytest.raises(InvalidFieldError, match="page_token"):
            records.list("trainingRuns", TrainingRun, filter="state=PENDING", page_token=token)
        with pytest.raises(InvalidFieldError, match="page_token"):
            records.list("datasets", Dataset, page_token=token)
        assert len(records.list("trainingRuns", TrainingRun, page_token=token).resources) == 2
