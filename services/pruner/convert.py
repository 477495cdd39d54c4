"""Between messages and the domain."""

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.pruner.v1 import pruner_pb2
from common.data.messages import schema_from_proto
from common.data.schema import KnownDataset, SplitCounts, Task
from common.errors import InvalidFieldError
from common.networks.layer_names import has_batch_norm, layer_names
from common.networks.specification import from_proto
from common.protobuf import enum_short_name, from_plain, resolve
from services.pruner.domain.methods import METHODS, ModelFormat
from services.pruner.domain.resolution import KnownModel, Resolved
from services.pruner.domain.specification import FIELD, PruningSpecification

_FORMATS = {
    model_pb2.MODEL_FORMAT_SKOPS: ModelFormat.SKOPS,
    model_pb2.MODEL_FORMAT_ONNX: ModelFormat.ONNX,
    model_pb2.MODEL_FORMAT_UNSPECIFIED: ModelFormat.TORCH_PACKAGE,
    model_pb2.MODEL_FORMAT_TORCH_PACKAGE: ModelFormat.TORCH_PACKAGE,
}
SEARCHES = "tuningRuns/"
"""How names of searches begin, which learn from validation rows too."""


def specification_from_proto(message: pruner_pb2.PruningSpec) -> PruningSpecification:
    """Returns what a message asks for, with the defaults that depend on nothing else.

    Raises:
        InvalidInputError: Names the path of every field that is wrong.
    """
    return resolve(message, PruningSpecification, FIELD)


def specification_to_proto(specification: PruningSpecification) -> pruner_pb2.PruningSpec:
    """Returns the message of a specification."""
    return from_plain(specification.model_dump(mode="json"), pruner_pb2.PruningSpec)


def run_to_proto(resolved: Resolved) -> pruner_pb2.PruningRun:
    """Returns the run of a pruning that can begin, with its estimate."""
    specification = resolved.specification
    run = pruner_pb2.PruningRun(spec=specification_to_proto(specification))
    run.estimate.duration.FromNanoseconds(round(specification.budget * 1e9))
    run.estimate.methods.extend(specification.methods)
    run.estimate.choosing_row_count = resolved.choosing
    run.estimate.judging_row_count = resolved.judging
    return run


def known_model(version: model_pb2.ModelVersion) -> KnownModel:
    """Returns what a record tells of a model.

    Raises:
        InvalidFieldError: It is of no kind that can be pruned.
    """
    found = _FORMATS.get(version.format)
    if found is None:
        kind = enum_short_name(model_pb2.ModelFormat.DESCRIPTOR, version.format)
        raise InvalidFieldError(
            f"{FIELD}.model_version",
            f"{version.name} is a {kind}; name a package of the trainer, or a scikit-learn or ONNX "
            "model.",
            reason="FORMAT_NOT_SUPPORTED",
        )
    network = from_proto(version.network) if found is ModelFormat.TORCH_PACKAGE else None
    metrics = [name.partition("/")[2] for name in version.metrics if name.startswith("validation/")]
    return KnownModel(
        name=version.name,
        format=found,
        task=Task(enum_short_name(dataset_pb2.Task.DESCRIPTOR, version.task)),
        classes=tuple(version.signature.classes),
        metrics=tuple(metrics),
        roles=frozenset(version.artifacts),
        learned_validation=any(each.startswith(SEARCHES) for each in version.lineage.inputs),
        layers=layer_names(network) if network else (),
        has_batch_norm=network is not None and has_batch_norm(network),
    )


def known_data(version: dataset_pb2.DatasetVersion) -> KnownDataset:
    """Returns what a record tells of data."""
    counts = version.split_counts
    return KnownDataset(
        version.name,
        schema_from_proto(version.schema),
        SplitCounts(counts.train, counts.validation, counts.test),
    )


def methods_to_proto() -> pruner_pb2.ListMethodsResponse:
    """Returns the methods that there are."""
    return pruner_pb2.ListMethodsResponse(
        methods=[
            pruner_pb2.PruningMethod(
                name=name,
                description=each.description,
                formats=[form.upper() for form in sorted(each.formats)],
            )
            for name, each in METHODS.items()
        ]
    )
