"""The one declaration of what a model import can be asked for."""

from collections import Counter
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from common.data.schema import Task
from common.errors import InvalidFieldError
from common.names import ModelName, UploadName
from common.wording import quoted

FIELD = "model_import.spec"
UPLOAD = f"{FIELD}.upload"
DATASET_VERSION = f"{FIELD}.dataset_version"
CLASSES = f"{FIELD}.classes"
TASK = f"{FIELD}.task"

_FORMAT = f"{FIELD}.format"
_MAX_CLASSES = 10_000

Metric = Annotated[float, Field(allow_inf_nan=False)]


class ModelFormat(StrEnum):
    """Kind of a model, named as in `aimass.catalog.v1.ModelFormat`."""

    TORCH_PACKAGE = "torch_package"
    ONNX = "onnx"
    SKOPS = "skops"


_ENDINGS = {".onnx": ModelFormat.ONNX, ".skops": ModelFormat.SKOPS}


class ModelImportSpec(BaseModel):
    """What to import, and how.

    Attributes:
        model: Name of the model.
        upload: Name of the upload.
        format: Kind of the file; None to go by the upload's file name.
        task: What it predicts; None to ask the file.
        dataset_version: Where sample rows come from; empty for random ones.
        classes: Class labels in the order of the output.
        metrics: Metrics as the maker states them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    upload: str
    format: ModelFormat | None = None
    task: Task | None = None
    dataset_version: str = ""
    classes: Annotated[tuple[str, ...], Field(max_length=_MAX_CLASSES)] = ()
    metrics: dict[str, Metric] = {}


def check_model_spec(spec: ModelImportSpec) -> None:
    """Checks what needs neither file nor data.

    Raises:
        InvalidFieldError: Names the field.
    """
    ModelName.from_name(spec.model, f"{FIELD}.model")
    UploadName.from_name(spec.upload, UPLOAD)
    if spec.format is ModelFormat.TORCH_PACKAGE:
        raise InvalidFieldError(
            _FORMAT, "the trainer registers its packages itself; give an ONNX or a skops file"
        )
    twice = next((name for name, count in Counter(spec.classes).items() if count > 1), None)
    if twice is not None:
        raise InvalidFieldError(CLASSES, f"must name each class once; {quoted(twice)} comes twice")
    if spec.classes and spec.task not in (None, Task.CLASSIFICATION):
        raise InvalidFieldError(CLASSES, f"does not go with the task {spec.task}; leave it out")


def resolve_model_format(spec: ModelImportSpec, filename: str) -> ModelFormat:
    """Returns the kind of the file, from the specification or the upload's file name.

    Raises:
        InvalidFieldError: Neither tells, or an ONNX file comes without a task.
    """
    found = spec.format or _ENDINGS.get(PurePosixPath(filename.lower()).suffix)
    if found is None:
        raise InvalidFieldError(
            _FORMAT,
            f"cannot be told from the file name `{filename}`, which ends in none of "
            f"{', '.join(_ENDINGS)}; give the format",
        )
    if found is ModelFormat.ONNX and spec.task is None:
        raise InvalidFieldError(TASK, "is required, for an ONNX file does not say what it predicts")
    return found
