"""How a run ends, whatever its clock does."""

from datetime import timedelta

from aimass.type.v1 import run_pb2
from common.runs.owner import RunOwner
from common.testing.runs_contract import Run, Runs
from common.testing.sample_job import KIND


def test_no_run_ends_before_it_starts(runs: Runs) -> None:
    """A clock that is set back while a run works must not make its duration negative."""
    name = runs.create("set-back")
    owner = RunOwner.acquire(KIND, name, runs.store)

    def begin_tomorrow(run: Run) -> None:
        run.status.start_time.FromDatetime(run.status.start_time.ToDatetime() + timedelta(days=1))

    owner.update(begin_tomorrow)
    owner.succeed()
    status = runs.get(name).status
    assert status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert status.end_time == status.start_time
