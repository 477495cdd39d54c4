"""How good the tuner's models of pictures are, against the trainer's plain CNN in the same time.

Part of `make bench NAME=tuner`; alone it is `python -m tests.benchmarks.tuner.images`.
"""

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.local.plan import SuiteOptions
from common.models.onnx_model import load_onnx
from common.models.skops_model import load_skops
from common.testing.suite import RunningSuite, running_suite
from tests.benchmarks.harness import Aim, Measure, is_quick, publish, say
from tests.benchmarks.tuner.table_sets import folder_of_sets

NOTES = (
    "Pictures: both learn 67 % of the pictures, a fifth of these to validate on, in the same suite "
    "with one worker, one after the other; accuracy is that on the other 33 %. Theirs is the "
    "trainer's `cnn` with its defaults, its best epoch of as many as fit into the time.",
)
_SECONDS, _QUICK_SECONDS = 60, 20
_TRAIN_SHARE = 0.67
_PROBE_EPOCHS = 4
_LABELS = "class-{}"


@dataclass(frozen=True)
class PictureSet:
    """Pictures with a class each.

    Attributes:
        name: Unique.
        pictures: uint8 (rows, height, width, channels).
        labels: Of the classes, (rows,).
    """

    name: str
    pictures: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.str_]

    def split(self, seed: int) -> npt.NDArray[np.bool_]:
        """Returns which rows are learned from, as the data's README has it for classes."""
        generator, train = np.random.RandomState(seed), np.zeros(len(self.labels), bool)
        for label in np.unique(self.labels):
            rows = np.flatnonzero(self.labels == label)
            train[generator.permutation(rows)[: round(_TRAIN_SHARE * len(rows))]] = True
        return train


def images() -> list[Measure]:
    """Measures ours against theirs on each set."""
    seconds = _QUICK_SECONDS if is_quick() else _SECONDS
    say(f"Pictures at {seconds} s")
    measures = []
    with TemporaryDirectory() as home, running_suite(Path(home), SuiteOptions(agents=1)) as suite:
        for each in picture_sets():
            measures.append(_measured(suite, each, seconds))
    return measures


def picture_sets() -> Iterator[PictureSet]:
    """Yields the sets of pictures."""
    folder = folder_of_sets()
    with (folder / "manifest.csv").open(newline="") as file:
        names = [row["name"] for row in csv.DictReader(file) if row["task"] == "image"]
    for name in names:
        with np.load(folder / f"{name}.npz") as arrays:
            labels = np.array([_LABELS.format(each) for each in arrays["y"].tolist()])
            yield PictureSet(name, arrays["X"], labels)


def _measured(suite: RunningSuite, pictures: PictureSet, seconds: int) -> Measure:
    train = pictures.split(0)
    data = _imported(suite, pictures, train)
    model = _tuned(suite, data, pictures.name, seconds)
    own = _accuracy(suite, model, pictures, ~train)
    network = _trained(suite, data, pictures.name, seconds)
    theirs = _accuracy(suite, network, pictures, ~train)
    say(f"  {pictures.name}: ours {own:.4f}, plain CNN {theirs:.4f}")
    name = f"{pictures.name}, wrong pictures, the trainer's plain CNN"
    return Measure.of(name, 1 - own, 1 - theirs, Aim(ratio=1.0))


def _imported(suite: RunningSuite, pictures: PictureSet, train: npt.NDArray[np.bool_]) -> str:
    buffer = io.BytesIO()
    np.savez(buffer, image=pictures.pictures[train], label=pictures.labels[train])
    split = dataset_pb2.SplitSpec(validation_fraction=0.2, test_fraction=0.0)
    spec = dataset_pb2.DatasetImportSpec(target="label", split=split)
    name = pictures.name.replace("_", "-")
    return suite.import_dataset(name, f"{name}.npz", buffer.getvalue(), spec)


def _tuned(suite: RunningSuite, data: str, name: str, seconds: int) -> model_pb2.ModelVersion:
    spec = tuner_pb2.TuningSpec(
        dataset_version=data, model=f"models/{_id(name)}-tuned", metric="accuracy"
    )
    spec.budget.FromSeconds(seconds)
    begun = time.monotonic()
    run = suite.tune(spec)
    say(f"    {time.monotonic() - begun:.0f} s: {run.summary.verdict or run.status.error.message}")
    return _version(suite, run.model_version)


def _trained(suite: RunningSuite, data: str, name: str, seconds: int) -> model_pb2.ModelVersion:
    """Trains the plain network for as many epochs as take the time, by how long a few took."""
    model = f"models/{_id(name)}-plain"
    spec = trainer_pb2.TrainingSpec(dataset_version=data, model=model, epochs=_PROBE_EPOCHS)
    spec.monitor = trainer_pb2.MONITORED_METRIC_ACCURACY
    begun = time.monotonic()
    probe = suite.create_run(spec)
    ends = {
        event.metrics.epoch: event.time.ToNanoseconds() / 1e9
        for event in suite.watch_run(probe)
        if event.HasField("metrics")
    }
    taken = time.monotonic() - begun
    epoch = (ends[_PROBE_EPOCHS] - ends[1]) / (_PROBE_EPOCHS - 1)
    spec.epochs = max(int((seconds - taken) / epoch) + _PROBE_EPOCHS, 1)
    begun = time.monotonic()
    run = suite.train(spec)
    say(f"    plain CNN: {spec.epochs} epochs in {time.monotonic() - begun:.0f} s")
    return _version(suite, run.model_version)


def _accuracy(
    suite: RunningSuite,
    version: model_pb2.ModelVersion,
    pictures: PictureSet,
    rows: npt.NDArray[np.bool_],
) -> float:
    is_tuned = version.format == model_pb2.MODEL_FORMAT_SKOPS
    model = (load_skops if is_tuned else load_onnx)(suite.store, version)
    [given] = model.signature.inputs
    channels_first = np.ascontiguousarray(pictures.pictures[rows].transpose(0, 3, 1, 2))
    found = model.predict({given.name: channels_first})["probabilities"]
    classes = np.array(list(version.signature.classes))
    return float(np.mean(classes[found.argmax(axis=1)] == pictures.labels[rows]))


def _version(suite: RunningSuite, name: str) -> model_pb2.ModelVersion:
    return suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))


def _id(name: str) -> str:
    return name.replace("_", "-")


if __name__ == "__main__":
    publish("tuner-images", images(), NOTES)
