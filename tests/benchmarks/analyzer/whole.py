"""How long a whole analysis of a ResNet-18 takes, as a run of the suite.

Part of `make bench NAME=analyzer`; alone it is `python -m tests.benchmarks.analyzer.whole`.
"""

import io
import os
import tempfile
from pathlib import Path

import numpy as np

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2, run_pb2
from common.testing.suite import RunningSuite, running_suite
from tests.benchmarks.harness import Aim, Measure, is_quick, middle, publish, repeats, say

NOTES = (
    "Whole analysis: a ResNet-18 of full width (11 million weights, 0.56 G multiply-accumulates an "
    "image), trained by the suite for one epoch on 2,000 images of 32 x 32 pixels (the CIFAR-10 "
    "sample, where `DATA` holds cifar10_sample.npz; else noise with a patch of colour), and "
    "analysed on 5,000 others: all parts with the default budget; from the start of the run to its "
    "end.",
)
_TRAINED, _LOOKED_AT = 2_000, 5_000
_SECONDS, _QUICK_SECONDS, _MEGABYTES = 120, 5, 6
_INSIDE = (analyzer_pb2.ANALYSIS_PART_STRUCTURE, analyzer_pb2.ANALYSIS_PART_WEIGHTS)


def whole() -> list[Measure]:
    """Measures analyses of a trained ResNet-18."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_suite(Path(folder) / "home") as suite,
    ):
        say("Training a ResNet-18")
        model = _trained(suite)
        say("Analysing it")
        inside = [analyzer_pb2.PartRequest(part=part) for part in _INSIDE]
        full = [
            _analysed(suite, analyzer_pb2.AnalysisSpec(model_version=model))
            for _ in range(repeats(3))
        ]
        quick = [
            _analysed(suite, analyzer_pb2.AnalysisSpec(model_version=model, parts=inside))
            for _ in range(repeats(3))
        ]
    _say_parts(full[-1])
    size = max(each.report.size_bytes for each in full) / 1e6
    return [
        Measure.of(
            "whole analysis of a ResNet-18 on 5,000 images, s",
            middle([_seconds(each) for each in full]),
            aim=Aim(at_most=_SECONDS),
        ),
        Measure.of(
            "its structure and weights alone, s",
            middle([_seconds(each) for each in quick]),
            aim=Aim(at_most=_QUICK_SECONDS),
        ),
        Measure.of("its report, MB", size, aim=Aim(at_most=_MEGABYTES)),
    ]


def _trained(suite: RunningSuite) -> str:
    """Returns the version of a trained model."""
    trained, looked_at = (_TRAINED, _LOOKED_AT) if not is_quick() else (200, 500)
    images, labels = _pictures(trained + looked_at)
    buffer = io.BytesIO()
    np.savez(buffer, image=images, label=labels)
    split = dataset_pb2.SplitSpec(
        validation_fraction=0.0, test_fraction=looked_at / (trained + looked_at)
    )
    spec = dataset_pb2.DatasetImportSpec(
        target="label", task=dataset_pb2.TASK_CLASSIFICATION, split=split
    )
    data = suite.import_dataset("pictures", "pictures.npz", buffer.getvalue(), spec)
    width = 64 if not is_quick() else 8
    resnet = network_pb2.ResNetNetwork(depth=18, width=width)
    run = suite.train(
        trainer_pb2.TrainingSpec(
            dataset_version=data,
            model="models/resnet",
            network=network_pb2.NetworkSpec(resnet=resnet),
            epochs=1,
            workers=trainer_pb2.WorkerRange(min=1, wanted=2),
        )
    )
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    return run.model_version


def _pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images of unsigned bytes [rows, height, width, channels] and the names of classes."""
    path = Path(os.environ.get("AIMASS_BENCH_DATA") or "") / "cifar10_sample.npz"
    if path.is_file():
        with np.load(path) as file:
            order = np.random.default_rng(0).permutation(len(file["ytr"]))[:count]
            images, labels = file["Xtr"][order], file["ytr"][order]
        return images, np.array([f"class{label}" for label in labels])
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, count)
    images = generator.integers(0, 200, (count, 32, 32, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[3 * label : 3 * label + 3, :, label % 3] += 55
    return images, np.array([f"class{label}" for label in labels])


def _analysed(suite: RunningSuite, spec: analyzer_pb2.AnalysisSpec) -> analyzer_pb2.Analysis:
    analysis = suite.analyse(spec)
    assert analysis.status.state == run_pb2.RUN_STATE_SUCCEEDED, analysis.status.error
    say(f"  {_seconds(analysis):.1f} s, {analysis.report.size_bytes / 1e6:.2f} MB")
    return analysis


def _seconds(analysis: analyzer_pb2.Analysis) -> float:
    status = analysis.status
    return status.end_time.ToDatetime().timestamp() - status.start_time.ToDatetime().timestamp()


def _say_parts(analysis: analyzer_pb2.Analysis) -> None:
    for each in analysis.summary.parts:
        name = analyzer_pb2.AnalysisPart.Name(each.part).removeprefix("ANALYSIS_PART_")
        seconds = each.duration.ToTimedelta().total_seconds()
        say(f"    {name} {seconds:.1f} s {' '.join(each.notes)}")


if __name__ == "__main__":
    publish("analyzer-whole", whole(), NOTES)
