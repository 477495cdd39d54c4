"""Texts and pictures, from a file to predictions, and what other services make of their models."""

import io

import numpy as np
import numpy.typing as npt
import pytest

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2, run_pb2
from common.models.package import load_package
from common.testing.suite import RunningSuite

ROWS = 300
SPLIT = dataset_pb2.SplitSpec(validation_fraction=0.2, test_fraction=0.2)


@pytest.fixture(scope="module")
def notes(suite: RunningSuite) -> str:
    """Notes on the weather, of two kinds."""
    generator = np.random.default_rng(0)
    fillers = np.array(["today", "again", "we", "saw", "that", "rather", "very", "all"])
    words = {"warm": ["sunny", "hot", "bright"], "cold": ["icy", "frozen", "snowy"]}
    lines = ["note,weather"]
    for row in range(ROWS):
        kind = ("warm", "cold")[row % 2]
        around = generator.choice(fillers, 6).tolist()
        around.insert(int(generator.integers(6)), str(generator.choice(words[kind])))
        lines.append(f"{' '.join(around)} in place {row},{kind}")
    spec = dataset_pb2.DatasetImportSpec(target="weather", split=SPLIT)
    return suite.import_dataset("e2e-notes", "notes.csv", "\n".join(lines).encode(), spec)


def stripes(rows: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.str_]]:
    """Returns pictures of 12 x 12 with bars that lie or stand."""
    generator = np.random.default_rng(1)
    pictures = generator.integers(0, 90, (rows, 12, 12))
    for row, place in enumerate(generator.integers(2, 9, rows)):
        bar = np.s_[row, place : place + 2] if row % 2 else np.s_[row, :, place : place + 2]
        pictures[bar] += 150
    return pictures.astype(np.uint8), np.where(np.arange(rows) % 2, "lying", "standing")


@pytest.fixture(scope="module")
def pictures(suite: RunningSuite) -> str:
    """Pictures of bars."""
    images, labels = stripes(ROWS)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, image=images, label=labels)
    spec = dataset_pb2.DatasetImportSpec(target="label", split=SPLIT)
    return suite.import_dataset("e2e-bars", "bars.npz", buffer.getvalue(), spec)


def trained(suite: RunningSuite, spec: trainer_pb2.TrainingSpec) -> model_pb2.ModelVersion:
    """Trains on the suite's workers. Returns the version that was made."""
    suite.await_agents()
    run = suite.train(spec)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    request = model_pb2.GetModelVersionRequest(name=run.model_version)
    return suite.models.GetModelVersion(request)


@pytest.fixture(scope="module")
def of_notes(suite: RunningSuite, notes: str) -> model_pb2.ModelVersion:
    """A model of the notes, with nothing but the data named."""
    workers = trainer_pb2.WorkerRange(wanted=2)
    return trained(
        suite,
        trainer_pb2.TrainingSpec(dataset_version=notes, model="models/e2e-notes", workers=workers),
    )


@pytest.fixture(scope="module")
def of_pictures(suite: RunningSuite, pictures: str) -> model_pb2.ModelVersion:
    """A model of augmented pictures, by two workers."""
    blocks = [network_pb2.ConvBlock(channels=channels) for channels in (16, 16)]
    spec = trainer_pb2.TrainingSpec(
        dataset_version=pictures,
        model="models/e2e-bars",
        network=network_pb2.NetworkSpec(cnn=network_pb2.CnnNetwork(blocks=blocks)),
        augmentation=trainer_pb2.AugmentationSpec(auto=True),
        epochs=12,
        batch_size=32,
        workers=trainer_pb2.WorkerRange(min=2),
    )
    return trained(suite, spec)


def predicted(
    suite: RunningSuite, version: model_pb2.ModelVersion, **inputs: npt.NDArray[np.generic]
) -> list[str]:
    """Returns the classes that a published version gives for raw rows."""
    [found] = load_package(suite.store, version).predict(inputs).values()
    return [version.signature.classes[code] for code in found.argmax(axis=1)]


def test_a_model_of_texts_reads_new_ones(
    suite: RunningSuite, of_notes: model_pb2.ModelVersion
) -> None:
    """The version alone is enough: its tokenizer is a file of it."""
    assert of_notes.network.WhichOneof("kind") == "embedding_bag"
    texts = np.array(["it was snowy again", "a bright and sunny place", "icy today"], object)
    assert predicted(suite, of_notes, text=texts) == ["cold", "warm", "cold"]


def test_a_model_of_augmented_pictures_sees_new_ones(
    suite: RunningSuite, of_pictures: model_pb2.ModelVersion
) -> None:
    """Workers change the rows that they train on, nobody those that are predicted."""
    images, labels = stripes(ROWS + 60)
    found = predicted(suite, of_pictures, image=images[ROWS:, None])
    assert np.mean(np.array(found) == labels[ROWS:]) > 0.9


@pytest.mark.slow
def test_the_analyzer_takes_a_model_of_texts(
    suite: RunningSuite, of_notes: model_pb2.ModelVersion, notes: str
) -> None:
    """By all parts that fit texts, on the rows that were held back."""
    spec = analyzer_pb2.AnalysisSpec(model_version=of_notes.name, dataset_version=notes)
    spec.budget.FromSeconds(5)
    analysis = suite.analyse(spec)
    assert analysis.status.state == run_pb2.RUN_STATE_SUCCEEDED, analysis.status.error
    assert analysis.summary.verdict
    assert analysis.report.uri


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_pruner_takes_a_model_of_augmented_pictures(
    suite: RunningSuite, of_pictures: model_pb2.ModelVersion, pictures: str
) -> None:
    """What is smaller still tells the pictures apart."""
    spec = pruner_pb2.PruningSpec(
        model_version=of_pictures.name,
        dataset_version=pictures,
        metric="accuracy",
        max_loss=0.05,
        methods=["fewer_units"],
        gain=pruner_pb2.GAIN_SIZE,
        compare=False,
    )
    spec.budget.FromSeconds(60)
    run = suite.prune(spec)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.summary.point.size_gain > 1
    request = model_pb2.GetModelVersionRequest(name=run.model_version)
    version = suite.models.GetModelVersion(request)
    assert version.parameter_count < of_pictures.parameter_count
    images, labels = stripes(ROWS + 60)
    found = predicted(suite, version, image=images[ROWS:, None])
    assert np.mean(np.array(found) == labels[ROWS:]) > 0.85
