"""YAML files of runs."""

from pathlib import Path
from typing import cast

import pytest
import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from common.cli.documents import KINDS, load_documents
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


def test_a_model_with_its_file(tmp_path: Path) -> None:
    """A model that was made elsewhere is imported as data is."""
    (tmp_path / "net.onnx").write_bytes(b"x")
    text = "kind: ModelImport\nmodel_import: {spec: {model: models/m, upload: 'file:net.onnx'}}\n"
    [document] = load_documents(write(tmp_path, text))
    assert document.upload == tmp_path / "net.onnx"
    document.set_upload("uploads/u")
    assert isinstance(document.request, model_pb2.CreateModelImportRequest)
    assert document.request.model_import.spec.upload == "uploads/u"


def fill(message: Message, choice: int) -> None:
    """Sets every field; of each oneof the one at a position."""
    for field in cast(list[FieldDescriptor], message.DESCRIPTOR.fields):
        oneof = field.containing_oneof
        is_chosen = oneof is None or oneof.fields[choice % len(oneof.fields)] == field
        if is_chosen and field.name != "status":
            fill_field(message, field, choice)


def fill_field(message: Message, field: FieldDescriptor, choice: int) -> None:
    """Sets a field to something that is not its default."""
    below = field.message_type
    if below is not None and below.GetOptions().map_entry:
        value = below.fields_by_name["value"]
        if value.message_type is not None:
            fill(getattr(message, field.name)["k"], choice)
            return
        json_format.ParseDict({field.name: {"k": value_of(value)}}, message)
    elif below is not None:
        target = getattr(message, field.name)
        fill(target.add() if field.is_repeated else target, choice)
    elif field.is_repeated:
        getattr(message, field.name).append(value_of(field))
    else:
        setattr(message, field.name, value_of(field))


def value_of(field: FieldDescriptor) -> object:
    """Returns a value that fits a field without messages."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return b"b" if field.type == FieldDescriptor.TYPE_BYTES else "2026-11-24"
    return {FieldDescriptor.CPPTYPE_BOOL: True, FieldDescriptor.CPPTYPE_DOUBLE: 0.5}.get(
        field.cpp_type, 1
    )


@pytest.mark.parametrize("choice", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_every_kind_can_be_given(tmp_path: Path, kind: str, choice: int) -> None:
    """The file is the request, whatever it holds: no second schema that lags behind."""
    request = KINDS[kind]()
    fill(request, choice)
    values = json_format.MessageToDict(request, preserving_proto_field_name=True)
    text = yaml.safe_dump({"kind": kind, **values})
    [document] = load_documents(write(tmp_path, text))
    assert document.request == request


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("{1: COLUMN_TYPE_TEXT}", "column_types: the key 1 is no text; put it in quotes."),
        ("{a: COLUMN_TYPE_TXT}", "column_types.a: expected one of COLUMN_TYPE_NUMERIC, "),
    ],
)
def test_a_wrong_entry_of_a_map_is_named(tmp_path: Path, wrong: str, expected: str) -> None:
    """Columns are often named by numbers, which YAML takes for no text."""
    text = f"kind: DatasetImport\ndataset_import: {{spec: {{column_types: {wrong}}}}}\n"
    assert expected in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("epoch: 3", "training_run.spec.epoch: there is no such field; did you mean `epochs`?"),
        ("network: {cnn: {blocks: [{chanels: 3}]}}", "cnn.blocks[0].chanels: there is no such"),
        ("zzz: 1", "training_run.spec.zzz: there is no such field; there are augmentation, "),
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
        ("training_run: {}", "`kind` is missing; begin with `kind: Analysis` or"),
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


CHAIN = """
kind: DatasetImport
as: data
dataset_import: {spec: {dataset: datasets/d, target: y}}
---
kind: TrainingRun
as: first
training_run: {spec: {dataset_version: "${data.dataset_version}", model: models/m}}
---
kind: PruningRun
pruning_run: {spec: {model_version: "${first.model_version}"}, labels: {of: "${first}"}}
"""


def test_documents_refer_to_what_those_before_made(tmp_path: Path) -> None:
    """Protects stories in one file: names that nobody can know before come from the runs."""
    documents = load_documents(write(tmp_path, CHAIN))
    assert [each.label for each in documents] == ["data", "first", ""]
    made = {
        "data": dataset_pb2.DatasetImport(name="i/1", dataset_version="datasets/d/versions/7"),
        "first": trainer_pb2.TrainingRun(
            name="trainingRuns/x", model_version="models/m/versions/2"
        ),
    }
    for document in documents:
        document.complete(made)
    training, pruning = documents[1].request, documents[2].request
    assert isinstance(training, trainer_pb2.CreateTrainingRunRequest)
    assert training.training_run.spec.dataset_version == "datasets/d/versions/7"
    assert isinstance(pruning, pruner_pb2.CreatePruningRunRequest)
    assert pruning.pruning_run.spec.model_version == "models/m/versions/2"
    assert pruning.pruning_run.labels["of"] == "trainingRuns/x"


def test_what_a_document_did_not_make_is_missed_by_name(tmp_path: Path) -> None:
    """Protects from requests with empty names, where a run was not waited for."""
    documents = load_documents(write(tmp_path, CHAIN))
    with pytest.raises(CliError, match=r"\$\{data.dataset_version\}: i/1 has none"):
        documents[1].complete({"data": dataset_pb2.DatasetImport(name="i/1")})


def test_what_may_be_missing_is_left_out(tmp_path: Path) -> None:
    """Protects stories with runs that may make nothing, such as prunings."""
    text = (
        "kind: PruningRun\nas: made\npruning_run: {}\n---\nkind: Analysis\nanalysis: {spec: "
        '{model_version: "${made.model_version?}", challengers: ["${made.model_version?}", b]}}'
    )
    for made, expected in (("", ["b"]), ("a", ["a", "b"])):
        document = load_documents(write(tmp_path, text))[1]
        document.complete({"made": pruner_pb2.PruningRun(model_version=made)})
        assert isinstance(document.request, analyzer_pb2.CreateAnalysisRequest)
        spec = document.request.analysis.spec
        assert spec.model_version == made
        assert list(spec.challengers) == expected


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("${data.dataset_version}", "${date.dataset_version}", "`as: date` (there are: data)"),
        ("${data.dataset_version}", "${first.model_version}", "no document before this one"),
        (
            "${data.dataset_version}",
            "${data.version}",
            "DatasetImport has no single field 'version'",
        ),
        ("${data.dataset_version}", "${data.labels}", "has no single field 'labels'"),
        ("${data.dataset_version}", "${data.spec}", "is no text"),
        ("${data.dataset_version}", "${data.name.more}", "has no single field 'more'"),
        ("${data.dataset_version}", "${data dataset_version}", "is no reference"),
        ("as: first", "as: data", "another document is 'data' already"),
        ("as: first", "as: 1st", "'1st' is no label"),
    ],
)
def test_wrong_references_are_refused_before_anything_is_created(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    """Protects from a file that fails in its middle."""
    text = CHAIN.replace(old, new)
    assert said in complaint(tmp_path, text)


@pytest.mark.parametrize("kind", KINDS)
def test_what_each_kind_makes_can_be_referred_to(tmp_path: Path, kind: str) -> None:
    """Protects all kinds of documents, new ones too."""
    text = (
        f"kind: {kind}\nas: it\n---\nkind: PruningRun\npruning_run: {{labels: {{of: '${{it}}'}}}}"
    )
    assert len(load_documents(write(tmp_path, text))) == 2
