"""YAML files of runs."""

from pathlib import Path

import pytest

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from common.cli.documents import load_documents
from common.cli.errors import CliError

TRAINING = """
kind: TrainingRun
training_run_id: first
training_run:
  labels: {team: vision}
  spec:
    dataset_version: datasets/digits/versions/latest
    model: models/digits
    network:
      cnn: {blocks: [{channels: 16}, {channels: 32, kernel_size: 5}]}
    optimizer: {learning_rate: 1e-3}
    workers: {min: 1, wanted: 2, wait_timeout: 30s}
    epochs: 3
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(CliError) as caught:
        load_documents(write(folder, text))
    return " ".join([caught.value.message, *caught.value.details])


def test_a_document_becomes_the_request(tmp_path: Path) -> None:
    """The file is the request message, field by field."""
    [document] = load_documents(write(tmp_path, TRAINING))
    request = document.request
    assert isinstance(request, trainer_pb2.CreateTrainingRunRequest)
    spec = request.training_run.spec
    assert (request.training_run_id, spec.epochs, spec.workers.wanted) == ("first", 3, 2)
    assert [block.channels for block in spec.network.cnn.blocks] == [16, 32]
    assert spec.workers.wait_timeout.seconds == 30
    assert spec.optimizer.learning_rate == 1e-3
    assert not spec.HasField("seed")


def test_field_names_of_json_are_taken_too(tmp_path: Path) -> None:
    """What `json_format` accepts, the file accepts."""
    text = "kind: TrainingRun\ntrainingRun: {spec: {datasetVersion: datasets/a/versions/1}}\n"
    [document] = load_documents(write(tmp_path, text))
    assert isinstance(document.request, trainer_pb2.CreateTrainingRunRequest)
    assert document.request.training_run.spec.dataset_version == "datasets/a/versions/1"


def test_documents_keep_their_order_and_paths_count_from_the_file(tmp_path: Path) -> None:
    """An import with its file and a run that uses it may stand in one file."""
    (tmp_path / "digits.csv").write_text("a\n1\n")
    text = (
        "kind: DatasetImport\ndataset_import:\n  spec:\n    dataset: datasets/digits\n"
        f"    upload: file:digits.csv\n---\n{TRAINING}"
    )
    first, second = load_documents(write(tmp_path, text))
    assert isinstance(first.request, dataset_pb2.CreateDatasetImportRequest)
    assert first.upload == tmp_path / "digits.csv"
    assert first.request.dataset_import.spec.upload == ""
    assert isinstance(second.request, trainer_pb2.CreateTrainingRunRequest)
    assert second.place.endswith("run.yaml, document 2")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("epoch: 3", "training_run.spec.epoch: there is no such field; did you mean `epochs`?"),
        ("network: {cnn: {blocks: [{chanels: 3}]}}", "cnn.blocks[0].chanels: there is no such"),
        ("zzz: 1", "training_run.spec.zzz: there is no such field; there are batch_size, "),
        ("epochs: many", "training_run.spec.epochs: expected a whole number below 2^31"),
        ("epochs: 1.5", "training_run.spec.epochs: expected a whole number below 2^31, not 1.5."),
        ("task: TASK_CLASIFICATION", "did you mean TASK_CLASSIFICATION?"),
        ("checkpoint_interval: 30", 'expected a time span such as "30s", not 30.'),
        ("features: age", "training_run.spec.features: expected a list, not 'age'."),
        ("optimizer: adam", "training_run.spec.optimizer: expected fields below it"),
        ("network: {cnn: {}, mlp: {}}", "training_run.spec.network: give only one of mlp, cnn."),
        ("network: {cnn: {blocks: [{channels: u}]}}", "network.cnn.blocks[0].channels: expected"),
    ],
)
def test_a_wrong_field_is_named_with_a_cure(tmp_path: Path, wrong: str, expected: str) -> None:
    """The message gives the path within the document and what is wanted there."""
    text = f"kind: TrainingRun\ntraining_run:\n  spec:\n    {wrong}\n"
    assert expected in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("training_run: {}", "`kind` is missing; begin with `kind: DatasetImport` or"),
        ("kind: Trainingrun", "kind 'Trainingrun' is unknown"),
        ("- a", "expected `kind: ...`"),
        ("kind: [", "is not YAML"),
        ("kind: TrainingRun\nkind: TrainingRun", "the key 'kind' comes twice"),
        ("kind: TrainingRun\ntraining_run: {labels: {a: 1}}", "a text; put numbers in quotes"),
        (
            "kind: DatasetImport\ndataset_import: {spec: {upload: 'file:no.csv'}}",
            "dataset_import.spec.upload: there is no file",
        ),
    ],
)
def test_a_wrong_document_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    """Nothing is sent unless the whole file is right."""
    assert expected in complaint(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No traceback for a mistyped path."""
    with pytest.raises(CliError, match=r"Cannot read .*no\.yaml: No such file"):
        load_documents(tmp_path / "no.yaml")


def test_dates_stay_text(tmp_path: Path) -> None:
    """A label that looks like a date is no date."""
    text = "kind: TrainingRun\ntraining_run: {labels: {day: 2026-11-24}}"
    [document] = load_documents(write(tmp_path, text))
    assert isinstance(document.request, trainer_pb2.CreateTrainingRunRequest)
    assert document.request.training_run.labels["day"] == "2026-11-24"
