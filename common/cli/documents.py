"""YAML files that describe runs: the request messages as YAML, no second schema."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import policy_pb2, study_pb2, tuner_pb2
from common.cli.errors import CliError
from common.cli.fields import unknown_fields, wrong_value
from common.cli.references import check_references, checked_label, has_references, resolved

RunRequest: TypeAlias = (
    analyzer_pb2.CreateAnalysisRequest
    | dataset_pb2.CreateDatasetImportRequest
    | model_pb2.CreateModelImportRequest
    | outlier_pb2.CreateOutlierScanRequest
    | pruner_pb2.CreatePruningRunRequest
    | trainer_pb2.CreateTrainingRunRequest
    | tuner_pb2.CreateTuningRunRequest
)
Request: TypeAlias = (
    RunRequest | policy_pb2.CreateTuningPolicyRequest | study_pb2.CreateStudyRequest
)
KINDS: Mapping[str, type[Request]] = {
    "Analysis": analyzer_pb2.CreateAnalysisRequest,
    "DatasetImport": dataset_pb2.CreateDatasetImportRequest,
    "ModelImport": model_pb2.CreateModelImportRequest,
    "OutlierScan": outlier_pb2.CreateOutlierScanRequest,
    "PruningRun": pruner_pb2.CreatePruningRunRequest,
    "Study": study_pb2.CreateStudyRequest,
    "TrainingRun": trainer_pb2.CreateTrainingRunRequest,
    "TuningPolicy": policy_pb2.CreateTuningPolicyRequest,
    "TuningRun": tuner_pb2.CreateTuningRunRequest,
}
_FILE_SCHEME = "file:"


@dataclass(frozen=True)
class Document:
    """One document of a file.

    Attributes:
        place: Where it is, for messages: `run.yaml, document 2`.
        request: The request; references stand in it as they were written.
        upload: A file to upload first; its upload's name goes into the import's specification.
        label: By which later documents refer to what it makes; empty for none.
        referring: The request as YAML, where it refers to what other documents make; else None.
    """

    place: str
    request: Request
    upload: Path | None = None
    label: str = ""
    referring: Mapping[Hashable, object] | None = None

    def complete(self, made: Mapping[str, Message]) -> None:
        """Puts in what the documents before it have made.

        Args:
            made: By label.

        Raises:
            CliError: Something that it refers to is not there.
        """
        if self.referring is not None:
            self.request.Clear()
            _fill(self.request, resolved(self.referring, made, self.place), self.place)

    def set_upload(self, name: str) -> None:
        """Puts the name of an upload into the import's specification."""
        if isinstance(self.request, dataset_pb2.CreateDatasetImportRequest):
            self.request.dataset_import.spec.upload = name
        elif isinstance(self.request, model_pb2.CreateModelImportRequest):
            self.request.model_import.spec.upload = name


def load_documents(path: Path) -> list[Document]:
    """Reads the documents of a YAML file.

    Args:
        path: The file.

    Returns:
        Its documents, in order.

    Raises:
        CliError: The file cannot be read, is no YAML, or a document is wrong; the message gives
            the path of the field and a suggestion.
    """
    try:
        text = path.read_text(encoding="utf-8")
        contents = list(yaml.load_all(text, Loader=_Loader))
    except OSError as error:
        raise CliError(f"Cannot read {path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CliError(f"{path} is not YAML: {error}") from None
    filled = [content for content in contents if content is not None]
    if not filled:
        raise CliError(f"{path} is empty.", hint=f"begin with `kind: {' | '.join(KINDS)}`")
    known: dict[str, Descriptor] = {}
    documents = []
    for number, content in enumerate(filled, start=1):
        place = f"{path}, document {number}" if len(filled) > 1 else str(path)
        document = _to_document(content, place, path.parent, known)
        if document.label:
            known[document.label] = _made_by(document.request)
        documents.append(document)
    return documents


class _Loader(yaml.SafeLoader):
    """YAML without surprises: keys do not repeat, and dates stay text."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} comes twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    letter: [entry for entry in entries if entry[0] != "tag:yaml.org,2002:timestamp"]
    for letter, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _to_document(
    content: object, place: str, folder: Path, known: Mapping[str, Descriptor]
) -> Document:
    if not isinstance(content, dict):
        raise CliError(f"{place}: expected `kind: ...` and the fields of a request.")
    values = dict(content)
    request = _request_type(values.pop("kind", None), place)()
    label = checked_label(values.pop("as"), known, place) if "as" in values else ""
    problems = tuple(unknown_fields(values, request.DESCRIPTOR))
    if problems:
        raise CliError(f"{place}: unknown field.", problems)
    upload = _take_file(values, folder, place)
    check_references(values, known, place)
    _fill(request, values, place)
    return Document(place, request, upload, label, values if has_references(values) else None)


def _fill(request: Request, values: Mapping[Hashable, object], place: str) -> None:
    try:
        json_format.ParseDict({str(key): each for key, each in values.items()}, request)
    except json_format.ParseError as error:
        problem = wrong_value(values, request.DESCRIPTOR) or str(error)
        raise CliError(f"{place}: {problem}") from None


def _made_by(request: Request) -> Descriptor:
    """Returns the type of what a request creates: of `CreateStudyRequest`, `Study`."""
    kind = request.DESCRIPTOR.name.removeprefix("Create").removesuffix("Request")
    types = (field.message_type for field in request.DESCRIPTOR.fields)
    return next(each for each in types if each is not None and each.name == kind)


def _request_type(kind: object, place: str) -> type[Request]:
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    choices = " or ".join(f"`kind: {name}`" for name in KINDS)
    said = f"kind {kind!r} is unknown" if kind is not None else "`kind` is missing"
    raise CliError(f"{place}: {said}; begin with {choices}.")


def _take_file(values: dict[Hashable, object], folder: Path, place: str) -> Path | None:
    """Takes `upload: file:<path>` out of an import's values; paths count from the YAML file."""
    for key, import_ in values.items():
        spec = import_.get("spec") if isinstance(import_, dict) else None
        upload = spec.get("upload") if isinstance(spec, dict) else None
        if isinstance(upload, str) and upload.startswith(_FILE_SCHEME):
            path = folder / Path(upload.removeprefix(_FILE_SCHEME)).expanduser()
            if not path.is_file():
                raise CliError(f"{place}: {key}.spec.upload: there is no file {path}.")
            del spec["upload"]  # type: ignore[union-attr]
            return path
    return None
