"""What `augmentation: {auto: true}` does to errors on rows not trained on, and what it costs.

Each set is trained with and without, with the same seed, split and number of epochs, by the
worker's own code in this process. No epoch is chosen: the last one's weights are measured.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import Part, TimeSeries
from common.testing.datasets import text_array
from services.trainer.domain.objective import make_objectives
from services.trainer.worker.commits import FILE_NAME
from services.trainer.worker.course import Course
from services.trainer.worker.engine import evaluate
from services.trainer.worker.package import best_network
from services.trainer.worker.state import Snapshot, StagePlace, read_state
from tests.benchmarks import harness
from tests.benchmarks.harness import Aim, Measure
from tests.benchmarks.trainer.digits import Digits
from tests.support.training import Array, Desk

SEEDS = 5
WITHOUT: Mapping[str, object] = {}
AUTO: Mapping[str, object] = {"augmentation": {"auto": True}}
MOST_COST = 1.15
"""What the processor time of training may grow by, where images are changed."""


@dataclass(frozen=True)
class Set:
    """A data set to train on, and how.

    Attributes:
        name: Of the set.
        columns: Of all rows.
        target: Name of the target.
        train_rows: Rows to train on, drawn by the seed, of series the first ones; the rest is
            measured on.
        spec: Of the run.
        series: Of a series, one row after the other; None for other data.
    """

    name: str
    columns: Mapping[str, Array]
    target: str
    train_rows: int
    spec: Mapping[str, object]
    series: TimeSeries | None = None

    def parts(self, seed: int) -> npt.NDArray[np.uint8]:
        """Returns the part of each row."""
        rows = len(self.columns[self.target])
        parts = np.full(rows, Part.TEST, np.uint8)
        order = np.random.default_rng(seed).permutation(rows)
        chosen = order if self.series is None else np.arange(rows)
        parts[chosen[: self.train_rows]] = Part.TRAIN
        return parts

    @property
    def measure(self) -> str:
        """What `error` measures."""
        return "error, %" if self.series is None else "MASE"

    def error(self, metrics: Mapping[str, float]) -> float:
        """Returns what is smaller the better a model is."""
        return 100 * (1 - metrics["accuracy"]) if self.series is None else metrics["mase"]

    def stored(self, desk: Desk, seed: int) -> dataset_pb2.DatasetVersion:
        """Returns it as a data set version."""
        if self.series is None:
            return desk.dataset(self.columns, self.parts(seed), self.target)
        return desk.series(self.columns, self.parts(seed), self.target, self.series)


@dataclass(frozen=True)
class Result:
    """What a training came to.

    Attributes:
        error: On what was not trained on; see `Set`.
        seconds: Processor time of the training.
    """

    error: float
    seconds: float

    def __str__(self) -> str:
        return f"error {self.error:.4g}, {self.seconds:.1f} s of processor time"


def digits() -> Set:
    """500 labelled digits; the default network."""
    found = Digits.load()
    rows = np.random.default_rng(0).permutation(len(found.labels))[:2_500]
    columns: dict[str, Array] = {
        "image": found.images[rows][:, None],
        "label": found.labels[rows].astype(str).astype(object),
    }
    return Set("digits, 500 rows", columns, "label", 500, {"epochs": 60})


def texts(file: str, rows: int) -> Set:
    """A text set of the tuner's; the default network."""
    found = pq.read_table(harness.data_folder("tuner") / f"{file}.parquet")
    chosen = np.random.default_rng(0).permutation(found.num_rows)[: rows + 2_000]
    taken = found.take(chosen).to_pydict()
    columns: dict[str, Array] = {
        "text": text_array(taken["text"]),
        "label": np.array(taken["target"], object),
    }
    return Set(f"{file}, {rows} rows", columns, "label", rows, {"epochs": 20, "batch_size": 64})


def forecasts(file: str, train_share: float, spec: Mapping[str, object]) -> Set:
    """A series of the tuner's; the default network. The newest part is measured on."""
    found = pq.read_table(harness.data_folder("tuner") / f"{file}.parquet").sort_by("time")
    columns: dict[str, Array] = {
        "time": found["time"].to_numpy().astype("datetime64[us]"),
        "value": found["target"].to_numpy().astype(np.float64),
    }
    rows = round(train_share * found.num_rows)
    frequency = {"airline": "MS", "gasoline": "W", "min_temperature": "D"}[file]
    series = TimeSeries("time", "", (), frequency, 1)
    return Set(f"{file}, first {rows} steps", columns, "value", rows, spec, series)


SETS: Mapping[str, Callable[[], Set]] = {
    "digits": digits,
    "sms_spam": lambda: texts("sms_spam", 300),
    "trec_questions": lambda: texts("trec_questions", 500),
    "airline": lambda: forecasts(
        "airline", 0.75, {"epochs": 10, "forecast": {"horizon": 12, "season": 12}}
    ),
    "gasoline": lambda: forecasts(
        "gasoline", 0.8, {"epochs": 4, "forecast": {"horizon": 8, "season": 52}}
    ),
    "min_temperature": lambda: forecasts(
        "min_temperature", 0.8, {"epochs": 3, "forecast": {"horizon": 30, "season": 7}}
    ),
}


def main() -> None:
    """Measures all sets, or those that the command line names."""
    torch.set_num_threads(1)
    measures: list[Measure] = []
    notes = ["Ours: `augmentation: {auto: true}`; theirs: without. Means of seeds."]
    for name in sys.argv[1:] or SETS:
        found, note = measured(SETS[name]())
        measures += found
        notes.append(note)
    harness.publish("augmentation", measures, notes)


def measured(case: Set) -> tuple[list[Measure], str]:
    """Returns error and time, and how the seeds differ."""
    harness.say(case.name)
    results = harness.interleave(
        {
            "without": lambda seed: run(case, seed, WITHOUT),
            "auto": lambda seed: run(case, seed, AUTO),
        },
        harness.repeats(SEEDS),
    )
    errors = {name: [each.error for each in found] for name, found in results.items()}
    seconds = {name: mean(each.seconds for each in found) for name, found in results.items()}
    gains = [plain - ours for plain, ours in zip(errors["without"], errors["auto"], strict=True)]
    spread = f" (deviation {stdev(gains):.2g})" if len(gains) > 1 else ""
    better = sum(gain > 0 for gain in gains)
    return [
        Measure.of(
            f"{case.name}: {case.measure}",
            mean(errors["auto"]),
            mean(errors["without"]),
            Aim(ratio=1.0),
        ),
        Measure.of(
            f"{case.name}: training, processor s",
            seconds["auto"],
            seconds["without"],
            Aim(ratio=MOST_COST),
        ),
    ], (
        f"{case.name}: {mean(gains):.3g} less of {case.measure}{spread}, less with {better} of "
        f"{len(gains)} seeds."
    )


def run(case: Set, seed: int, more: Mapping[str, object]) -> Result:
    """Trains and measures once."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        data = case.stored(desk, seed)
        plan = {"monitor": "none", "schedule": {"cosine_decay": True}, "seed": seed}
        job = desk.job(data, {**plan, **case.spec, **more})
        start = time.process_time()
        desk.train(job)
        seconds = time.process_time() - start
        content = (desk.context(job).commit_dir / FILE_NAME).read_bytes()
        network = best_network(job, read_state(Snapshot.from_bytes(content)), desk.store)
        rows = Course.open(job, desk.cache, desk.store).stage(StagePlace()).rows
        objective = make_objectives(job.preprocessing.target, None, rows.class_shares).measuring
        sums = evaluate(network, objective, rows, rows.test, 512, lambda: None)
        error = case.error(objective.metrics(sums.tolist()))
    return Result(error, seconds)


if __name__ == "__main__":
    main()
