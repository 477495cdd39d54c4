"""Training runs on the screen: how fast they trained, and what had been foretold of them."""

from collections.abc import Iterator

from rich.console import Console

from aimass.trainer.v1 import trainer_pb2
from common.cli import text


def show_training(run: trainer_pb2.TrainingRun, console: Console) -> None:
    """Prints what a training needs or took, beside what was expected of it."""
    for line in _lines(run):
        console.print(text.harmless(line), soft_wrap=True, markup=False)


def _lines(run: trainer_pb2.TrainingRun) -> Iterator[str]:
    if run.HasField("estimate"):
        yield _estimated(run.estimate)
    if run.HasField("performance"):
        yield _taken(run.performance)
        yield _speed(run.performance)
    if run.recoveries.total.count:
        yield _recovered(run.recoveries.total)


def _estimated(estimate: trainer_pb2.Estimate) -> str:
    told = [
        text.seconds(text.span(estimate.duration)),
        text.count(estimate.steps, "step"),
        text.count(estimate.slots, "slot"),
        f"{text.size(estimate.worker_memory_bytes)} a worker",
    ]
    if estimate.calibration not in (0, 1):
        told.append(f"times {text.number(estimate.calibration, digits=3)} by earlier runs")
    return f"estimated: {', '.join(told)}"


def _taken(found: trainer_pb2.TrainingPerformance) -> str:
    error = found.estimate_error
    taken = text.seconds(text.span(found.training_duration))
    memory = text.size(found.worker_memory_bytes)
    return (
        f"took: {taken}{_judged(error.duration)}, {memory} a worker{_judged(error.worker_memory)}"
    )


def _judged(error: float) -> str:
    """Returns how wrong an estimate was; empty where none was judged."""
    if not error:
        return ""
    return f" (estimate {abs(error):.0%} too {'high' if error > 0 else 'low'})"


def _speed(found: trainer_pb2.TrainingPerformance) -> str:
    precision = text.enum_word(trainer_pb2.Precision.Name(found.precision), "PRECISION_")
    told = [
        f"{text.number(found.rows_per_second)} rows a second",
        f"{text.number(found.rows_per_second_per_worker)} a worker",
        precision,
        f"{found.wait_share:.0%} of steps waiting for other workers",
        f"{found.commit_share:.0%} of the time held up by commits",
    ]
    if found.skipped_steps:
        told.append(f"{text.count(found.skipped_steps, 'step')} skipped")
    return f"speed: {', '.join(told)}"


def _recovered(total: trainer_pb2.RecoverySum) -> str:
    told = [
        text.count(total.faults or total.count, "fault"),
        f"{text.seconds(text.span(total.total_pause))} without steps",
        f"{text.count(total.steps_lost, 'step')} done again",
    ]
    return f"recovered: {', '.join(told)}"
