"""How wrong estimates of trainings were: `make bench NAME=trainer.estimates`, under four minutes.

A suite that knows no runs yet trains each kind of run three times, on one worker and on two. The
first estimate of a kind says how well it is foretold by rates alone, the later ones what the
suite's own runs have taught it. Not for a busy machine: what others take is no fault of the rates.
"""

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2, run_pb2
from common.testing.suite import RunningSuite, running_suite
from tests.benchmarks import harness
from tests.benchmarks.harness import Aim, Measure, say
from tests.benchmarks.trainer import ours
from tests.benchmarks.trainer.digits import Digits

_SECONDS = 3.0
"""What a run is to take, by its estimate; runs below 2 s teach nothing."""
_QUICK_SECONDS = 0.1
_AIM = Aim(at_most=1.3, at_least=0.7)
_MOST_EPOCHS = 5_000
_ROUNDS = 3
_DAYS = 4_000
NOTES = (
    "Estimated / taken, of the duration; the aim is 30 %. By the rates: without what earlier runs "
    "have taught (`estimate.calibration`). Calibrated: the last of the runs of its kind.",
    "Steps that were not done are left out, and so are the start and the package of a run.",
)


@dataclass(frozen=True)
class Kind:
    """A kind of run.

    Attributes:
        name: Of the measure.
        version: The data.
        spec: What is trained on it.
    """

    name: str
    version: str
    spec: trainer_pb2.TrainingSpec


def main() -> None:
    """Measures all kinds, prints the table, writes the file."""
    with tempfile.TemporaryDirectory(prefix="aimass-bench-") as folder:
        environment = {"AIMASS_CACHE_DIR": f"{folder}/cache"}
        with running_suite(Path(folder) / "suite", environment=environment) as suite:
            kinds = list(_kinds(suite))
            measures = [
                measure
                for workers in (1, 2)
                for kind in kinds
                for measure in _measured(suite, kind, workers)
            ]
    harness.publish("estimates", measures, NOTES)


def _measured(suite: RunningSuite, kind: Kind, workers: int) -> Iterator[Measure]:
    name = f"{kind.name}, {workers} worker{'s' * (workers > 1)}"
    say(name)
    spec = trainer_pb2.TrainingSpec()
    spec.CopyFrom(kind.spec)
    spec.dataset_version, spec.model = kind.version, "models/bench-estimates"
    spec.workers.min = spec.workers.wanted = workers
    spec.monitor = trainer_pb2.MONITORED_METRIC_NONE  # whose epochs are all trained
    runs = [_run(suite, spec) for _ in range(harness.repeats(_ROUNDS))]
    errors = [1 + run.performance.estimate_error.duration for run in runs]
    rates = [error / run.estimate.calibration for error, run in zip(errors, runs, strict=True)]
    memory = 1 + runs[-1].performance.estimate_error.worker_memory
    say(f"  taken {[round(_taken(run), 2) for run in runs]} s, estimated {errors}")
    yield Measure.of(f"{name}: by the rates", harness.middle(rates), None, _AIM)
    yield Measure.of(f"{name}: calibrated", errors[-1], None, _AIM)
    yield Measure.of(f"{name}: memory of a worker", memory, None, _AIM)


def _run(suite: RunningSuite, spec: trainer_pb2.TrainingSpec) -> trainer_pb2.TrainingRun:
    """Trains for about `_SECONDS`."""
    spec.epochs = 1
    request = trainer_pb2.CreateTrainingRunRequest(
        training_run=trainer_pb2.TrainingRun(spec=spec), validate_only=True
    )
    an_epoch = suite.training.CreateTrainingRun(request).estimate.duration.ToNanoseconds() / 1e9
    wanted = _QUICK_SECONDS if harness.is_quick() else _SECONDS
    spec.epochs = min(max(1, round(wanted / an_epoch)), _MOST_EPOCHS)
    ours.settle(suite)
    run = suite.train(spec)
    if run.status.state != run_pb2.RUN_STATE_SUCCEEDED:
        raise RuntimeError(f"{run.name} ended: {run.status}")
    return run


def _taken(run: trainer_pb2.TrainingRun) -> float:
    return run.performance.training_duration.ToNanoseconds() / 1e9


def _kinds(suite: RunningSuite) -> Iterator[Kind]:
    """Imports the data; yields the kinds of runs. What rows say does not matter to their time."""
    digits = suite.import_dataset("bench-digits", "digits.npz", Digits.load().as_upload())
    table = suite.import_dataset("bench-table", "table.npz", _table())
    notes = suite.import_dataset("bench-notes", "notes.csv", _notes())
    time = dataset_pb2.DatasetImportSpec(
        target="value", time_series=dataset_pb2.TimeSeries(time_column="time")
    )
    series = suite.import_dataset("bench-series", "series.csv", _series(), time)
    auto = trainer_pb2.AugmentationSpec(auto=True)
    cnn = network_pb2.NetworkSpec(cnn=network_pb2.CnnNetwork())
    fp32 = trainer_pb2.PRECISION_FP32
    yield Kind("cnn, FP32", digits, trainer_pb2.TrainingSpec(network=cnn, precision=fp32))
    yield Kind("cnn", digits, trainer_pb2.TrainingSpec(network=cnn))
    yield Kind("cnn, augmented", digits, trainer_pb2.TrainingSpec(network=cnn, augmentation=auto))
    yield Kind("mlp on a table", table, trainer_pb2.TrainingSpec())
    yield Kind("mlp, augmented", table, trainer_pb2.TrainingSpec(augmentation=auto))
    yield Kind("embedding_bag", notes, trainer_pb2.TrainingSpec())
    yield Kind("embedding_bag, augmented", notes, trainer_pb2.TrainingSpec(augmentation=auto))
    yield Kind("series_linear", series, trainer_pb2.TrainingSpec())


def _table() -> bytes:
    """Returns 10,000 rows of 30 numbers and a value that follows from them."""
    values = np.random.default_rng(0).normal(size=(10_000, 30)).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, x=values, y=values[:, 0] * values[:, 1] + values[:, 2])
    return buffer.getvalue()


def _notes() -> bytes:
    """Returns 4,000 texts of 5 to 30 words of two kinds."""
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(generator.choice(letters, generator.integers(2, 9))) for _ in range(1_000)]
    lines = ["note,label"]
    for row in range(4_000):
        half = generator.integers(0, 500, generator.integers(5, 30)) + 500 * (row % 2)
        lines.append(f"{' '.join(words[word] for word in half)},{'up' if row % 2 else 'down'}")
    return "\n".join(lines).encode()


def _series() -> bytes:
    """Returns a value for each of 4,000 days."""
    days = np.datetime64("2010-01-01") + np.arange(_DAYS)
    values = np.sin(np.arange(_DAYS) / 7) + np.random.default_rng(0).normal(size=_DAYS) / 5
    rows = [f"{day},{value:.4f}" for day, value in zip(days, values, strict=True)]
    return "\n".join(["time,value", *rows]).encode()


if __name__ == "__main__":
    main()
