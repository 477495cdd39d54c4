"""What came of the steps of a pruning, kept for whoever goes on with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import put_artifact, read_artifact
from common.artifacts.protocol import ObjectMissingError
from common.runs.kind import run_prefix
from services.pruner.domain.front import Gain, Point
from services.pruner.domain.judging import Judgement
from services.pruner.domain.methods import ModelFormat
from services.pruner.domain.search import Measured, Step
from services.pruner.domain.variants import Built, PartSize, Variant
from services.pruner.measuring.order import Costs
from services.pruner.networks import parameter_count
from services.pruner.points import points_prefix, read_version, version_key

_MEDIA = {
    "samples": "application/vnd.safetensors",
}
_BINARY = "application/octet-stream"
_FORMATS = {
    ModelFormat.SKOPS: model_pb2.MODEL_FORMAT_SKOPS,
    ModelFormat.ONNX: model_pb2.MODEL_FORMAT_ONNX,
    ModelFormat.TORCH_PACKAGE: model_pb2.MODEL_FORMAT_TORCH_PACKAGE,
}


@dataclass(frozen=True)
class _Kept:
    """A variant as it is kept, its files and signature left out: the version beside it has them."""

    name: str
    parent: str
    methods: tuple[str, ...]
    notes: tuple[str, ...]
    parts: tuple[PartSize, ...]
    dropped: tuple[str, ...]
    judgement: Judgement
    costs: Costs


_STEP = TypeAdapter(tuple[_Kept, ...])


class Recording:
    """Keeps the variants of a run in the store."""

    def __init__(self, store: ObjectStore, run: str, version: model_pb2.ModelVersion) -> None:
        """Keeps nothing yet.

        Args:
            store: The store.
            run: Name of the run.
            version: Of the original: variants have its task and its labels.
        """
        self._store = store
        self._run = run
        self._version = version
        self._formats = {number: form for form, number in _FORMATS.items()}

    def keep(self, step: Step, made: Sequence[tuple[Measured, Costs]]) -> None:
        """Keeps what came of a step; only once all is there it counts as done."""
        for measured, _ in made:
            self._keep_files(measured.variant)
        kept = tuple(_kept(measured, costs) for measured, costs in made)
        self._store.write(self._key(step), _STEP.dump_json(kept))

    def read(self, step: Step) -> list[tuple[Measured, Costs]] | None:
        """Returns what came of a step; None where it was not done.

        Raises:
            DataLossError: A file is gone or damaged.
        """
        try:
            content = self._store.read(self._key(step))[0]
        except ObjectMissingError:
            return None
        return [self._measured(each) for each in _STEP.validate_json(content)]

    def _key(self, step: Step) -> str:
        return f"{run_prefix(self._run)}steps/{step.base}/{step.method}.json"

    def _keep_files(self, variant: Variant) -> None:
        prefix = f"{points_prefix(self._run)}{variant.name}/"
        version = model_pb2.ModelVersion(
            task=dataset_pb2.Task.ValueType(self._version.task),
            format=_FORMATS[variant.built.format],
            signature=variant.built.signature,
            labels=self._version.labels,
        )
        if variant.built.format is ModelFormat.TORCH_PACKAGE:
            version.network.CopyFrom(variant.built.network)
            version.parameter_count = parameter_count(version)
        for role, content in variant.built.files.items():
            media = _MEDIA.get(role, _BINARY)
            version.artifacts[role].CopyFrom(
                put_artifact(self._store, f"{prefix}{role}", content, media)
            )
        self._store.write(version_key(self._run, variant.name), version.SerializeToString())

    def _measured(self, kept: _Kept) -> tuple[Measured, Costs]:
        version = read_version(self._store, self._run, kept.name)
        files = {
            role: b"".join(read_artifact(self._store, ref))
            for role, ref in version.artifacts.items()
        }
        built = Built(
            self._formats[version.format], files, version.signature, network=version.network
        )
        variant = Variant(
            kept.name, built, kept.parent, kept.methods, kept.notes, kept.parts, kept.dropped
        )
        return measured_of(variant, kept.judgement, kept.costs), kept.costs


def measured_of(variant: Variant, judgement: Judgement, costs: Costs) -> Measured:
    """Returns a variant with what was measured of it; its latency is a share of the original's."""
    point = Point(
        name=variant.name,
        loss=judgement.loss,
        costs={
            # Measured in turns: what disturbed one has disturbed the other.
            Gain.LATENCY: costs.latency / costs.original_latency,
            Gain.SIZE: float(variant.built.size_bytes),
            Gain.MEMORY: costs.memory_bytes,
            **_work(costs),
        },
        order=judgement.choosing_loss.high,
    )
    return Measured(variant, judgement, point)


def _work(costs: Costs) -> dict[Gain, float]:
    known = costs.multiplications
    return {} if known is None else {Gain.MULTIPLICATIONS: known}


def _kept(measured: Measured, costs: Costs) -> _Kept:
    each = measured.variant
    return _Kept(
        each.name,
        each.parent,
        each.methods,
        each.notes,
        each.parts,
        each.dropped,
        measured.judgement,
        costs,
    )
