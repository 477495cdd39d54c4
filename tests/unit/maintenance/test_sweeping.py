"""What a sweep finds, removes and leaves."""

from datetime import UTC, datetime, timedelta

import pytest

from aimass.catalog.v1 import model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.errors import FailedPreconditionError
from common.maintenance.leftovers import RunLeftovers
from common.maintenance.sweeping import Sweeps
from common.records import RecordStore
from common.runs.kind import RunKind
from common.runs.lease import Lease

KIND = RunKind("trainingRuns", trainer_pb2.TrainingRun, "train")
RUN = "runs/trainingRuns/r/attempts"


class World:
    """A store whose clock is set by hand, with one run that has left something."""

    def __init__(self, state: run_pb2.RunState.ValueType, *, is_told: bool = True) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.store = MemoryStore(clock=lambda: self.now)
        records = RecordStore(self.store)
        run = trainer_pb2.TrainingRun(name="trainingRuns/r")
        run.status.state = state
        if is_told:
            run.status.lineage.outputs.append("models/m/versions/1")
        records.create(run)
        version = model_pb2.ModelVersion(name="models/m/versions/1")
        version.artifacts["weights"].uri = f"s3://aimass/{RUN}/2/model/weights"
        records.create(version, references=["trainingRuns/r"])
        for key in ("1/model/weights", "1/checkpoints/1", "2/model/weights", "2/checkpoints/7"):
            self.store.write(f"{RUN}/{key}", b"abc")
        leftovers = RunLeftovers(KIND, self.store, records, timedelta(hours=10))
        self.sweeps = Sweeps(self.store, "trainer", [leftovers])

    def keys(self) -> list[str]:
        """What is left of the run's attempts."""
        return [info.key.removeprefix(f"{RUN}/") for info in self.store.list(f"{RUN}/")]


def test_what_the_result_needs_stays() -> None:
    """Checkpoints and the attempt that lost go; the model of the attempt that won stays."""
    world = World(run_pb2.RUN_STATE_SUCCEEDED)
    world.now += timedelta(hours=11)
    would_go = world.sweeps.find()
    assert {(garbage.name, garbage.kind) for garbage in would_go} == {
        (f"{RUN}/1/model/", "attempt"),
        (f"{RUN}/1/checkpoints/", "checkpoints"),
        (f"{RUN}/2/checkpoints/", "checkpoints"),
    }
    assert len(world.keys()) == 4, "a dry run removes nothing"
    assert world.sweeps.sweep() == would_go
    assert world.keys() == ["2/model/weights"]
    assert world.sweeps.sweep() == []


def test_what_the_run_itself_holds_stays() -> None:
    """Results that are no resource, such as the scores of a scan, are named by the run only."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = MemoryStore(clock=lambda: now)
    records = RecordStore(store)
    folder = "runs/outlierScans/s/attempts"
    scan = outlier_pb2.OutlierScan(name="outlierScans/s")
    scan.status.state = run_pb2.RUN_STATE_SUCCEEDED
    scan.scores.uri = f"s3://aimass/{folder}/2/scan/scores.parquet"
    records.create(scan)
    for attempt in (1, 2):
        store.write(f"{folder}/{attempt}/scan/scores.parquet", b"abc")
    kind = RunKind("outlierScans", outlier_pb2.OutlierScan, "scan")
    now += timedelta(hours=11)
    sweeps = Sweeps(store, "outlier", [RunLeftovers(kind, store, records, timedelta(hours=10))])
    assert [garbage.name for garbage in sweeps.sweep()] == [f"{folder}/1/scan/"]
    assert [info.key for info in store.list(f"{folder}/")] == [f"{folder}/2/scan/scores.parquet"]


def test_version_of_a_run_that_failed_afterwards_keeps_its_files() -> None:
    """What refers to the run holds what it made, though the run itself does not tell of it."""
    world = World(run_pb2.RUN_STATE_FAILED, is_told=False)
    world.now += timedelta(hours=11)
    world.sweeps.sweep()
    assert world.keys() == ["2/model/weights"]


def test_runs_at_work_and_fresh_ends_are_left_alone() -> None:
    """A run that has not ended needs everything; one that just ended can still be looked at."""
    working = World(run_pb2.RUN_STATE_RUNNING)
    working.now += timedelta(hours=11)
    assert working.sweeps.find() == []
    ended = World(run_pb2.RUN_STATE_FAILED)
    ended.now += timedelta(hours=9)
    assert ended.sweeps.find() == []
    assert len(ended.sweeps.find(timedelta(hours=1))) == 3


def test_one_sweep_at_a_time() -> None:
    """While another replica sweeps, a second sweep is refused and removes nothing."""
    world = World(run_pb2.RUN_STATE_SUCCEEDED)
    world.now += timedelta(hours=11)
    other = Lease(world.store, "sweeps/trainer/lease.json", owner="another replica")
    other.acquire()
    with pytest.raises(FailedPreconditionError, match="under way"):
        world.sweeps.sweep()
    assert len(world.keys()) == 4
    other.release()
    assert len(world.sweeps.sweep()) == 3
