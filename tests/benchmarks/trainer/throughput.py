"""How long a step takes, beside PyTorch's DistributedDataParallel over Gloo; what commits cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, network_pb2
from services.trainer.agent.settings import ALLOCATOR
from tests.benchmarks.harness import Aim, Measure, interleave, middle, repeats, say
from tests.benchmarks.trainer import ours
from tests.benchmarks.trainer.bench import Bench
from tests.benchmarks.trainer.digits import Digits

ROUNDS = 5
COMMIT_ROUNDS = 3
_WARM_EPOCHS = 1
_LIMIT_SECONDS = 240.0
_ROWS = 5_000
_AS_IT_COMES, _SAME_ALLOCATOR = 1 / 1.10, 1.0
_HIDDEN = (1_024, 1_280)
"""Hidden layers with 2.1 million weights before 784 numbers: 8.5 MB of gradients."""
_LARGE_HIDDEN = (2_560, 1_760)
"""Hidden layers of a network whose state, with Adam's and the best epoch's, takes 100 MB."""
_NEVER_STEPS, _NEVER_SECONDS = 1_000_000, 86_400
NOTES = (
    "A step: 5,000 digits, all to train on, no validation; the mean of an epoch's steps after the "
    "first epoch, from the events of the run, or the lines that rank 0 writes. Single precision, "
    "Adam, one thread a worker, two workers, for all. Theirs has its rows in memory and indexes "
    "them; ours reads them as it always does.",
    "Theirs as it comes: no settings. With the same allocator settings: those that agents give "
    f"their workers ({', '.join(ALLOCATOR)}).",
    "The cost of commits: the same training with commits and checkpoints as by default, with a "
    "checkpoint each 5 s, and with none of either; theirs is none. A minute of steps each, so "
    "that there are two checkpoints by default.",
)


@dataclass(frozen=True)
class _Task:
    name: str
    version: str
    network: network_pb2.NetworkSpec
    data: str
    batch: int
    epochs: int


def throughput(bench: Bench) -> list[Measure]:
    """Measures steps of three trainings."""
    measures = []
    for task in _tasks(bench):
        say(f"Steps of {task.name}")
        contenders: dict[str, Callable[[int], float]] = {
            "ours": _ours(bench, task),
            "as it comes": _ddp(bench, task, {}),
            "same allocator": _ddp(bench, task, ALLOCATOR),
        }
        taken = interleave(contenders, repeats(ROUNDS))
        found = {name: _milliseconds(each) for name, each in taken.items()}
        for name, ratio in (("as it comes", _AS_IT_COMES), ("same allocator", _SAME_ALLOCATOR)):
            measure = f"Step of {task.name}, ms (theirs: torch DDP, {name})"
            measures.append(Measure.of(measure, found["ours"], found[name], Aim(ratio=ratio)))
    return measures


def commits(bench: Bench) -> list[Measure]:
    """Measures what commits and checkpoints of 100 MB add to steps."""
    say("Commits of 100 MB")
    mlp = network_pb2.MlpNetwork(hidden_widths=_LARGE_HIDDEN)
    version = _imported(bench, "bench-digits-large", flat=True)
    task = _Task("commits", version, network_pb2.NetworkSpec(mlp=mlp), "", 128, repeats(20, 3))
    contenders = {
        "as by default": _ours(bench, task),
        "and a checkpoint each 5 s": _ours(bench, task, checkpoint_seconds=5),
        "without": _ours(bench, task, _NEVER_STEPS, _NEVER_SECONDS),
    }
    taken = interleave(contenders, repeats(COMMIT_ROUNDS))
    found = {name: _milliseconds(each) for name, each in taken.items()}
    bare, aim = found.pop("without"), Aim(ratio=1.03)
    what = "Step with commits {}, 100 MB of state, ms (theirs: without)"
    return [Measure.of(what.format(name), mine, bare, aim) for name, mine in found.items()]


def _tasks(bench: Bench) -> list[_Task]:
    image = _imported(bench, "bench-digits-whole", flat=False)
    table = _imported(bench, "bench-digits-table", flat=True)
    cnn = network_pb2.NetworkSpec(cnn=network_pb2.CnnNetwork())
    mlp = network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=_HIDDEN))
    return [
        _Task("a small CNN, 256 rows", image, cnn, "whole.npz", 256, repeats(6, 2)),
        _Task("a small CNN, 64 rows", image, cnn, "whole.npz", 64, repeats(5, 2)),
        _Task("an MLP of 8.5 MB, 512 rows", table, mlp, "flat.npz", 512, repeats(20, 3)),
    ]


def _imported(bench: Bench, name: str, *, flat: bool) -> str:
    digits = Digits.load()
    digits.write_whole(bench.others.folder / ("flat.npz" if flat else "whole.npz"), flat=flat)
    split = dataset_pb2.SplitSpec(validation_fraction=0, test_fraction=0)
    spec = dataset_pb2.DatasetImportSpec(
        target="label", split=split, task=dataset_pb2.TASK_CLASSIFICATION
    )
    content = digits.as_table() if flat else digits.as_upload()
    return bench.suite.import_dataset(name, f"{name}.npz", content, spec)


def _specification(task: _Task) -> trainer_pb2.TrainingSpec:
    spec = ours.specification(task.version, task.epochs)
    spec.network.CopyFrom(task.network)
    spec.batch_size = task.batch
    return spec


def _ours(
    bench: Bench, task: _Task, commit_steps: int = 0, checkpoint_seconds: int = 0
) -> Callable[[int], float]:
    spec = _specification(task)
    if commit_steps:
        spec.commit_steps = commit_steps
    if checkpoint_seconds:
        spec.checkpoint_interval.FromSeconds(checkpoint_seconds)

    def run(number: int) -> float:
        ours.settle(bench.suite)
        with ours.followed(bench.suite, spec) as followed:
            first = followed.wait_for(_is_epoch(_WARM_EPOCHS), _LIMIT_SECONDS)
            last = followed.wait_for(_is_epoch(task.epochs), _LIMIT_SECONDS)
            return _step_seconds(ours.time_of(last) - ours.time_of(first), task)

    return run


def _ddp(bench: Bench, task: _Task, settings: dict[str, str]) -> Callable[[int], float]:
    workload = replace(
        bench.workload,
        data=str(bench.others.folder / task.data),
        network=ours.resolved_network(bench.suite, _specification(task)),
        batch_size=task.batch,
        epochs=task.epochs,
    )

    def run(number: int) -> float:
        ours.settle(bench.suite)
        with bench.others.ddp(workload, settings) as contender:
            first = contender.wait_for(lambda line: line.get("epoch") == _WARM_EPOCHS)
            last = contender.wait_for(lambda line: line.get("epoch") == task.epochs)
            return _step_seconds(last["time"] - first["time"], task)

    return run


def _is_epoch(number: int) -> Callable[[event_pb2.Event], bool]:
    return lambda event: event.metrics.epoch == number and "train/loss" in event.metrics.values


def _step_seconds(seconds: float, task: _Task) -> float:
    return seconds / (-(-_ROWS // task.batch) * (task.epochs - _WARM_EPOCHS))


def _milliseconds(seconds: Sequence[float]) -> float | None:
    found = middle(seconds)
    return None if found is None else 1e3 * found
