"""ONNX models: checked before they are run. Imports onnx."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message

from aimass.catalog.v1 import model_pb2
from common.artifacts.protocol import ObjectStore
from common.models.errors import bad_model
from common.models.onnx_session import onnx_session
from common.models.store import read_part
from common.models.vectors import Tensors, read_vectors, replay

if TYPE_CHECKING:
    import onnxruntime

# Operators of other domains are code that only some runtimes have.
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_TYPES = {"float": "float32", "double": "float64", "string": "object"}
_SAME = frozenset(
    {"float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"}
)


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX model, ready to run.

    Attributes:
        session: The runtime's session.
        signature: Inputs and outputs.
        parameter_count: Numbers in its constant tensors.
        content: The file.
    """

    session: "onnxruntime.InferenceSession"
    signature: model_pb2.Signature
    parameter_count: int
    content: bytes = field(repr=False)

    def predict(self, inputs: Tensors) -> Tensors:
        """Returns the outputs by name."""
        names = [output.name for output in self.signature.outputs]
        values = self.session.run(names, dict(inputs))
        return dict(zip(names, map(np.asarray, values), strict=True))

    def described(self, outputs: Tensors) -> model_pb2.Signature:
        """Returns a copy of the signature, which names the outputs already."""
        signature = model_pb2.Signature()
        signature.CopyFrom(self.signature)
        return signature


def open_onnx(content: bytes, field: str, threads: int = 1) -> OnnxModel:
    """Checks an ONNX file and opens it.

    Args:
        content: The file.
        field: Path of the field that it came from, for errors.
        threads: Processors that it computes with.

    Raises:
        InvalidFieldError: It is no valid model, points to files outside of it, has operators of
            other domains than ONNX's own, or inputs and outputs that are no tensors.
    """
    model = _checked(content, field)
    try:
        session = onnx_session(content, threads)
    except ImportError:  # under a bound of memory what is imported may not be mapped
        raise
    except Exception as error:  # onnxruntime's own exceptions have no common root.
        raise bad_model(
            field, f"cannot be run by ONNX Runtime ({_first_line(error)}); export it again"
        ) from error
    signature = model_pb2.Signature(
        inputs=[_tensor(value, field) for value in session.get_inputs()],
        outputs=[_tensor(value, field) for value in session.get_outputs()],
    )
    count = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    return OnnxModel(session, signature, count, content)


def load_onnx(store: ObjectStore, version: model_pb2.ModelVersion, threads: int = 1) -> OnnxModel:
    """Loads the ONNX file of a model version; digests are checked and its test vectors replayed.

    Args:
        store: Where the file is.
        version: The model version's record.
        threads: Processors that it computes with.

    Raises:
        FailedPreconditionError: The version has no ONNX file, or no test vectors.
        InvalidFieldError: See `open_onnx`.
        DataLossError: A file is damaged, or the test vectors give other outputs; names which.
    """
    model = open_onnx(read_part(version, "onnx", store), version.name, threads)
    replay(version, read_vectors(version, store), model.predict)
    return model


def _checked(content: bytes, field: str) -> onnx.ModelProto:
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise bad_model(
            field, "is no ONNX model; export one, by torch.onnx or skl2onnx for example"
        ) from error
    own = {function.domain for function in model.functions}
    imports = [*model.opset_import]
    for function in model.functions:
        imports += function.opset_import
    foreign = sorted({each.domain for each in imports} - _DOMAINS - own)
    if foreign:
        raise bad_model(
            field,
            f"needs operators of the domain `{foreign[0]}`; export it with operators of ONNX alone",
        )
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise bad_model(
                field,
                f"keeps the tensor `{tensor.name}` in another file; save it with all data inside",
            )
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # The checker's exceptions have no common root.
        raise bad_model(
            field, f"is no valid ONNX model ({_first_line(error)}); export it again"
        ) from error
    return model


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """Yields every tensor in a message, wherever it lies."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for each in value if descriptor.is_repeated else [value]:
                yield from _tensors(each)


def _tensor(value: "onnxruntime.NodeArg", field: str) -> model_pb2.TensorSpec:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    dtype = _TYPES.get(kind, kind)
    if not value.type.startswith("tensor(") or (kind not in _TYPES and kind not in _SAME):
        raise bad_model(
            field,
            f"has `{value.name}` of the type {value.type}, which is no tensor of numbers or texts; "
            "export a classifier of scikit-learn with zipmap=False",
        )
    shape = [side if isinstance(side, int) and side > 0 else -1 for side in value.shape]
    return model_pb2.TensorSpec(name=value.name, dtype=dtype, shape=shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
