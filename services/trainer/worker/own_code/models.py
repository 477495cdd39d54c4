"""Models that code of a user's own hands over: checked, stored, told of by the last commit."""

from collections.abc import Callable, Mapping

import numpy as np
import safetensors.torch
from google.protobuf import json_format
from torch import nn

from aimass.catalog.v1 import model_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.protocol import ObjectStore
from common.errors import AimassError
from common.models.onnx_model import open_onnx
from common.models.store import TEST_VECTORS
from common.models.twin import export_twin, make_twin, output_name
from common.models.vectors import Vectors, encode
from services.trainer.domain.job import Job
from services.trainer.worker.data import Examples
from services.trainer.worker.own_code.files import OwnCodeError, told
from services.trainer.worker.package import TASKS, lineage, sample_rows
from services.trainer.worker.reporting import beating
from services.trainer.worker.state import Snapshot

_VERSION = "version"
_BINARY = "application/octet-stream"
_NO_MODEL = (
    "The code handed over no model; call `context.save_model(network)`, or let rank 0 of a script "
    "write `model.onnx` to AIMASS_OUTPUT_DIR."
)


class Models:
    """What one training hands over. Only rank 0 stores."""

    def __init__(self, job: Job, rows: Examples, store: ObjectStore, is_first: bool) -> None:
        """Begins without a model.

        Args:
            job: The run.
            rows: Its data, for test vectors.
            store: Where files go, under `<prefix>model/`.
            is_first: Whether this is rank 0.
        """
        self._job = job
        self._rows = rows
        self._store = store
        self._is_first = is_first
        self._version: model_pb2.ModelVersion | None = None

    def add_network(self, network: nn.Module, beat: Callable[[], None]) -> None:
        """Takes a network over the trainer's inputs as the model, by its ONNX twin.

        Raises:
            OwnCodeError: It cannot be exported.
        """
        if not self._is_first:
            return
        preprocessing = self._job.preprocessing
        samples = self._rows.raw(sample_rows(self._rows))
        name = output_name(preprocessing)
        was_training = network.training
        with beating(beat), told():
            twin = export_twin(make_twin(network.eval(), preprocessing), samples, name)
        network.train(was_training)
        vectors = Vectors(
            {key: value.numpy() for key, value in samples.items()}, {name: twin.outputs.numpy()}
        )
        self.add_onnx(twin.content, vectors, preprocessing.target.classes)
        tensors = {key: each.contiguous().clone() for key, each in network.state_dict().items()}
        self.add_file("weights", "weights.safetensors", safetensors.torch.save(tensors))
        assert self._version is not None
        self._version.parameter_count = sum(each.numel() for each in network.parameters())

    def add_onnx(
        self, content: bytes, vectors: Vectors | None = None, classes: tuple[str, ...] = ()
    ) -> None:
        """Takes an ONNX model as the model.

        Args:
            content: The file.
            vectors: Rows and what it says of them; zeros by default.
            classes: Labels of its classes, in the order of its outputs.

        Raises:
            OwnCodeError: It does not load.
        """
        if not self._is_first:
            return
        try:
            model = open_onnx(content, "model.onnx")
            known = vectors or _zeros(model.signature)
            outputs = model.predict(known.inputs)
        except AimassError as error:
            raise OwnCodeError(f"The model cannot be used: {error.message}") from error
        signature = model.described(outputs)
        signature.classes.extend(classes)
        self._version = model_pb2.ModelVersion(
            format=model_pb2.MODEL_FORMAT_ONNX,
            task=TASKS[self._job.preprocessing.target.task],
            signature=signature,
            lineage=lineage(self._job),
        )
        self.add_file("onnx", "model.onnx", content)
        self.add_file(
            TEST_VECTORS, "samples.safetensors", encode(Vectors(known.inputs, dict(outputs)))
        )

    def add_file(self, role: str, name: str, content: bytes) -> None:
        """Stores a file with the model; `add_onnx` comes before."""
        if self._version is not None:
            kept = put_artifact(self._store, f"{self._job.prefix}model/{name}", content, _BINARY)
            self._version.artifacts[role].CopyFrom(kept)

    def version(self, metrics: Mapping[str, float]) -> str:
        """Returns the model version without name as JSON; empty on all ranks but 0.

        Raises:
            OwnCodeError: There is no model.
        """
        if not self._is_first:
            return ""
        if self._version is None:
            raise OwnCodeError(_NO_MODEL)
        self._version.metrics.update(metrics)
        return json_format.MessageToJson(self._version, indent=None)


def with_version(snapshot: Snapshot, version: str) -> Snapshot:
    """Returns the last snapshot of a training, which tells of its model."""
    return Snapshot(snapshot.tensors, {**snapshot.metadata, _VERSION: version})


def version_of(snapshot: Snapshot) -> model_pb2.ModelVersion | None:
    """Returns the model that a last snapshot tells of; None where it is none of own code."""
    content = snapshot.metadata.get(_VERSION)
    return json_format.Parse(content, model_pb2.ModelVersion()) if content else None


def _zeros(signature: model_pb2.Signature) -> Vectors:
    """Returns two rows of zeros for a model of which nothing else is known."""
    inputs = {}
    for each in signature.inputs:
        shape = [2 if size < 1 else size for size in each.shape]
        inputs[each.name] = np.zeros(shape, each.dtype)
    return Vectors(inputs, {})
