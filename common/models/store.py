"""Reads the light parts of a model package. Imports neither numpy nor torch."""

from aimass.catalog.v1 import model_pb2
from common.artifacts.blobs import read_artifact
from common.artifacts.protocol import ObjectStore
from common.errors import DataLossError, FailedPreconditionError
from common.models.preprocessing import Preprocessing, preprocessing_of

TEST_VECTORS = "samples"
"""Role of the file that every model version has: sample inputs and what the model gave for them."""


def read_part(version: model_pb2.ModelVersion, role: str, store: ObjectStore) -> bytes:
    """Returns a file of a package, its digest checked.

    Args:
        version: The model version.
        role: Role of the file, for example `preprocessing`.
        store: Where the package is.

    Raises:
        FailedPreconditionError: The package has no such file.
        DataLossError: The bytes do not match their digest.
    """
    if role not in version.artifacts:
        raise FailedPreconditionError(
            f"{version.name} has no file `{role}`; it has {', '.join(sorted(version.artifacts))}."
        )
    try:
        return b"".join(read_artifact(store, version.artifacts[role]))
    except DataLossError as error:
        raise DataLossError(f"The file `{role}` of {version.name}: {error.message}") from error


def read_preprocessing(version: model_pb2.ModelVersion, store: ObjectStore) -> Preprocessing:
    """Returns the preprocessing of a model version.

    Raises:
        FailedPreconditionError: The package has none.
        DataLossError: Its file is damaged.
    """
    try:
        return preprocessing_of(lambda role: read_part(version, role, store))
    except ValueError as error:
        raise DataLossError(
            f"The preprocessing of {version.name} cannot be read.", private=str(error)
        ) from error
