"""Between the catalog's messages and the domain."""

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.protobuf import from_plain, resolve
from services.catalog.domain import fields
from services.catalog.domain.model_spec import FIELD, ModelImportSpec
from services.catalog.domain.spec import ImportSpec, SplitSpec


def spec_from_proto(message: dataset_pb2.DatasetImportSpec) -> ImportSpec:
    """Returns what a message asks for, with defaults filled in.

    Raises:
        InvalidInputError: Names the path of every field that is wrong.
    """
    return resolve(message, ImportSpec, fields.IMPORT)


def split_from_proto(message: dataset_pb2.SplitSpec) -> SplitSpec:
    """Returns the split of a version."""
    return resolve(message, SplitSpec, fields.SPLIT)


def spec_to_proto(spec: ImportSpec) -> dataset_pb2.DatasetImportSpec:
    """Returns the message of a specification."""
    return from_plain(spec.model_dump(mode="json"), dataset_pb2.DatasetImportSpec)


def model_spec_from_proto(message: model_pb2.ModelImportSpec) -> ModelImportSpec:
    """Returns what a message asks for.

    Raises:
        InvalidInputError: Names the path of every field that is wrong.
    """
    return resolve(message, ModelImportSpec, FIELD)


def model_spec_to_proto(spec: ModelImportSpec) -> model_pb2.ModelImportSpec:
    """Returns the message of a specification."""
    return from_plain(spec.model_dump(mode="json"), model_pb2.ModelImportSpec)


def without_shards(version: dataset_pb2.DatasetVersion) -> dataset_pb2.DatasetVersion:
    """Returns a version as lists show it."""
    del version.shards[:]
    return version


def data_prefixes(version: dataset_pb2.DatasetVersion) -> list[str]:
    """Returns the prefixes of the keys that hold a version's own data, not what it appends to."""
    own = tuple(f"runs/{name}/" for name in version.lineage.inputs)
    folders = {shard.data.uri.rpartition("/")[0] for shard in version.shards}
    keys = (folder.removeprefix("s3://").partition("/")[2] for folder in folders)
    return [f"{key}/" for key in keys if key.startswith(own)]
