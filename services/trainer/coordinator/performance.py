"""What a run's record says of its performance, from what its workers have counted."""

from collections.abc import Iterable, Mapping

from aimass.trainer.v1 import agents_pb2, trainer_pb2

_MICRO = 1e6


def performance_report(
    workers: Mapping[int, agents_pb2.WorkerPerformance],
    run: trainer_pb2.TrainingRun,
    steps: int,
) -> trainer_pb2.TrainingPerformance | None:
    """Returns the account of a run's performance.

    Args:
        workers: What each rank of its last world says.
        run: The run, with its estimate.
        steps: Steps that were done.

    Returns:
        None where the workers count nothing, as scripts of the user's own.
    """
    if 0 not in workers:
        return None
    first = workers[0]
    report = trainer_pb2.TrainingPerformance(
        precision=first.precision,
        skipped_steps=first.skipped_steps,
        rows_per_second=_ratio(first.rows, first.steady_seconds),
        rows_per_second_per_worker=_ratio(first.rows, first.worker_seconds),
        worker_memory_bytes=max(each.memory_bytes for each in workers.values()),
        worker_own_memory_bytes=max(each.own_memory_bytes for each in workers.values()),
        device_memory_bytes=max(each.device_memory_bytes for each in workers.values()),
        wait_share=_mean(
            _ratio(each.wait_seconds, each.steady_seconds) for each in workers.values()
        ),
        commit_share=_ratio(first.commit_seconds, first.seconds),
        transport=first.transport,
    )
    report.training_duration.FromMicroseconds(round(first.seconds * _MICRO))
    _judge_estimate(report, run, steps)
    return report


def _judge_estimate(
    report: trainer_pb2.TrainingPerformance, run: trainer_pb2.TrainingRun, steps: int
) -> None:
    """Says how wrong the estimate was."""
    estimate = run.estimate
    if estimate.worker_memory_bytes:
        error = _ratio(estimate.worker_memory_bytes, report.worker_memory_bytes) - 1
        report.estimate_error.worker_memory = error
    seconds = report.training_duration.ToMicroseconds() / _MICRO
    # A bound of time says nothing of how fast steps are.
    if estimate.steps and seconds > 0 and not run.spec.HasField("max_duration"):
        expected = estimate.duration.ToMicroseconds() / _MICRO * steps / estimate.steps
        report.estimate_error.duration = expected / seconds - 1


def _ratio(value: float, total: float) -> float:
    return value / total if total > 0 else 0.0


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
