"""What a model version must be before it is registered."""

import re

from google.protobuf.empty_pb2 import Empty

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts import ObjectStore
from common.errors import FieldViolation, InvalidFieldError, NotFoundError
from common.names import validate_name
from common.records import RecordStore
from common.runs.kind import check_labels
from services.catalog.domain.artifacts import require_stored

_VERSION = "model_version"
_ROLE = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


def check_model_version(
    store: ObjectStore, records: RecordStore, version: model_pb2.ModelVersion
) -> None:
    """Checks a version that is to be registered.

    Args:
        store: Where its artifacts must be.
        records: Where what it came from must be.
        version: What the caller sent.

    Raises:
        InvalidFieldError: Names the field.
        NotFoundError: Names the artifact or input that does not exist.
    """
    if version.task == dataset_pb2.TASK_UNSPECIFIED:
        raise InvalidFieldError(f"{_VERSION}.task", "is required")
    if not version.artifacts:
        raise InvalidFieldError(f"{_VERSION}.artifacts", "must name at least one file of the model")
    check_labels(version.labels, f"{_VERSION}.labels")
    if version.parameter_count < 0:
        raise InvalidFieldError(f"{_VERSION}.parameter_count", "must be at least 0")
    for index, name in enumerate(version.lineage.inputs):
        _require_input(records, name, f"{_VERSION}.lineage.inputs[{index}]")
    for role, ref in version.artifacts.items():
        if _ROLE.fullmatch(role) is None:
            raise InvalidFieldError(
                f"{_VERSION}.artifacts",
                f"`{role}` must be lower-case letters, digits and underscores",
            )
        require_stored(store, ref, f"{_VERSION}.artifacts.{role}")


def inputs_of(version: model_pb2.ModelVersion) -> list[str]:
    """Returns the names that a version refers to, each once."""
    return list(dict.fromkeys(version.lineage.inputs))


def _require_input(records: RecordStore, name: str, field: str) -> None:
    try:
        records.get(validate_name(name, field), Empty)  # whatever it is, it must exist
    except NotFoundError:
        raise NotFoundError(
            f"{field}: {name} does not exist.",
            violations=[FieldViolation(field, "does not exist.")],
        ) from None
