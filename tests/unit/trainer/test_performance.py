"""What a run's record says of how fast it trained."""

from pathlib import Path

import pytest
from google.protobuf import duration_pb2

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from services.trainer.coordinator.performance import performance_report
from services.trainer.worker.performance import WARMING_STEPS
from tests.support.training import Desk
from tests.unit.trainer.test_training import MIXED, mixed_data, train_until


def test_workers_count_their_steps_over_kills(tmp_path: Path) -> None:
    """Protects the account: steady steps of all worlds, those done again once."""
    desk = Desk(tmp_path)
    job = desk.job(mixed_data(desk), {**MIXED, "commit_steps": 4, "epochs": 4})
    train_until(desk, job, 14)
    outcome = desk.train(job)
    found = outcome.performance
    assert found is not None
    assert found.precision == trainer_pb2.PRECISION_FP32
    rows_per_epoch, per_epoch = 210, 7
    assert outcome.step == 4 * per_epoch
    steady = outcome.step - 2 * WARMING_STEPS
    assert 32 * steady * 0.8 < found.rows < 32 * steady
    assert found.rows < 4 * rows_per_epoch
    assert found.worker_seconds == found.steady_seconds
    assert 0 < found.commit_seconds < found.seconds
    assert found.steady_seconds + found.commit_seconds < found.seconds
    assert found.memory_bytes > found.own_memory_bytes > 0
    assert found.device_memory_bytes == 0


RUN = trainer_pb2.TrainingRun(
    estimate=trainer_pb2.Estimate(
        duration=duration_pb2.Duration(seconds=60), worker_memory_bytes=900, steps=600
    )
)
WORKERS = {
    rank: agents_pb2.WorkerPerformance(
        precision=trainer_pb2.PRECISION_BF16,
        skipped_steps=2,
        rows=1000,
        steady_seconds=10,
        worker_seconds=20,
        wait_seconds=1 + rank,
        commit_seconds=0.5 if rank == 0 else 0.0,
        seconds=25,
        memory_bytes=500 + 100 * rank,
        own_memory_bytes=50,
    )
    for rank in range(2)
}


def test_the_record_says_how_wrong_the_estimate_was() -> None:
    """Protects users from estimates nobody looks at again: half of the steps took 25 s, not 30."""
    found = performance_report(WORKERS, RUN, steps=300)
    assert found is not None
    assert found.rows_per_second == 100
    assert found.rows_per_second_per_worker == 50
    assert found.worker_memory_bytes == 600
    assert found.wait_share == pytest.approx(0.15)
    assert found.commit_share == pytest.approx(0.02)
    assert found.training_duration.seconds == 25
    assert found.estimate_error.duration == pytest.approx(0.2)
    assert found.estimate_error.worker_memory == pytest.approx(0.5)


def test_a_bound_of_time_is_no_estimate() -> None:
    """Protects from judging what was not foretold."""
    bounded = trainer_pb2.TrainingRun()
    bounded.CopyFrom(RUN)
    bounded.spec.max_duration.seconds = 9
    found = performance_report(WORKERS, bounded, steps=300)
    assert found is not None and found.estimate_error.duration == 0
    assert performance_report({}, RUN, steps=300) is None
