"""What a run says of its speed through the public API, and what the next estimate learns."""

import pytest
from google.protobuf import duration_pb2

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2, run_pb2
from common.testing.suite import RunningSuite

pytestmark = pytest.mark.slow


def specification(version: str) -> trainer_pb2.TrainingSpec:
    """Some seconds of two workers, with settings of Horovod's of the run's own."""
    communication = trainer_pb2.CommunicationSpec(
        cycle_time=duration_pb2.Duration(nanos=3_000_000),
        fusion_threshold=1 << 20,
        compression=trainer_pb2.GRADIENT_COMPRESSION_FP16,
    )
    return trainer_pb2.TrainingSpec(
        dataset_version=version,
        model="models/e2e-performance",
        network=network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[64])),
        epochs=30,
        batch_size=64,
        workers=trainer_pb2.WorkerRange(min=2),
        communication=communication,
        # Unlike the suite's other runs, so that these teach this one nothing.
        precision=trainer_pb2.PRECISION_FP32,
    )


def test_a_run_tells_how_fast_it_was_and_the_next_estimate_learns(
    suite: RunningSuite, table_version: str
) -> None:
    """Protects the account of performance, and calibration by it; how fast it is is not judged."""
    spec = specification(table_version)
    run = suite.train(spec)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run
    found = run.performance
    assert found.precision == trainer_pb2.PRECISION_FP32
    assert found.transport == trainer_pb2.TRANSPORT_HOROVOD
    assert found.rows_per_second == pytest.approx(2 * found.rows_per_second_per_worker)
    assert 0 < found.wait_share < 1
    assert 0 < found.commit_share < 1
    assert found.worker_memory_bytes > found.worker_own_memory_bytes > 0
    expected = run.estimate.duration.ToMicroseconds()
    taken = found.training_duration.ToMicroseconds()
    assert found.estimate_error.duration == pytest.approx(expected / taken - 1, rel=1e-3)
    request = trainer_pb2.CreateTrainingRunRequest(
        training_run=trainer_pb2.TrainingRun(spec=spec), validate_only=True
    )
    next_time = suite.training.CreateTrainingRun(request).estimate
    assert next_time.calibration == pytest.approx(
        run.estimate.calibration * taken / expected, rel=1e-3
    )
    assert next_time.duration.ToMicroseconds() == pytest.approx(taken, rel=1e-3)
