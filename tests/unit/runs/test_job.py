"""What the process of a run does around the work."""

import logging

import pytest

from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.artifacts.settings import StoreSettings
from common.errors import StoreFullError
from common.runs.job import _Job
from common.runs.owner import RunOwner
from common.testing.runs_contract import Run, Runs
from common.testing.sample_job import KIND


def test_a_full_store_that_fails_a_run_stands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The status tells the user what is wrong; where it happened, the log alone can tell."""

    def work(owner: RunOwner[Run]) -> None:
        raise StoreFullError("The store is full.")

    runs = Runs(MemoryStore())
    name = runs.create("full")
    owner = RunOwner.acquire(KIND, name, runs.store)
    with caplog.at_level(logging.ERROR):
        _Job(KIND, name, StoreSettings(), work, lambda: None, False)._do(owner)
    assert runs.get(name).status.state == run_pb2.RUN_STATE_FAILED
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [StoreFullError]
