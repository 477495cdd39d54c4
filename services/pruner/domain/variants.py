"""Models on the way from the original to smaller ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from aimass.catalog.v1 import model_pb2
from aimass.type.v1 import network_pb2
from common.models.inputs import ForeignModel
from common.models.onnx_model import open_onnx
from common.models.skops_model import open_skops
from services.pruner.domain.methods import ModelFormat

ORIGINAL = "original"
SKOPS, ONNX, SAMPLES, WEIGHTS = "skops", "onnx", "samples", "weights"
SPECIFICATION = "specification"
_ROLES = {
    ModelFormat.SKOPS: SKOPS,
    ModelFormat.ONNX: ONNX,
    ModelFormat.TORCH_PACKAGE: WEIGHTS,
}


@dataclass(frozen=True)
class PartSize:
    """A part of a model that became smaller.

    Attributes:
        name: Where it is.
        reduction: How it became smaller.
        before: Its nodes, coefficients, vectors, columns or members before.
        after: What is left of them.
        sensitivity: By how much the mean loss of learned rows rises when the half of it that
            matters less is 0, alone; None where that is not known.
    """

    name: str
    reduction: str
    before: int
    after: int
    sensitivity: float | None = None


@dataclass(frozen=True)
class Built:
    """A model as it is kept.

    Attributes:
        format: How.
        files: By role: `skops`, `onnx`, `samples` for instance.
        signature: Inputs, outputs and classes; `aimass.catalog.v1.Signature`.
        network: Of a package of the trainer its network.
    """

    format: ModelFormat
    files: Mapping[str, bytes]
    signature: model_pb2.Signature
    network: network_pb2.NetworkSpec = field(default_factory=network_pb2.NetworkSpec)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels of its classes, in the order of its outputs; empty where it has none."""
        return tuple(self.signature.classes)

    @property
    def size_bytes(self) -> int:
        """Of the file that it is kept in; a twin beside it does not count."""
        return len(self.files[self.role])

    @property
    def role(self) -> str:
        """Of the file that it is kept in."""
        return _ROLES[self.format]

    def open(self, role: str = "") -> ForeignModel:
        """Returns the model, opened from a file as every other program does; not to be changed.

        Args:
            role: Of the file: `onnx` for the twin. Default: that which it is kept in; of a network
                its twin.

        Raises:
            InvalidFieldError: It cannot be opened.
        """
        role = role or (SKOPS if self.format is ModelFormat.SKOPS else ONNX)
        return _opened(self.files[role], role)


# The original, and that which is judged and measured beside it: a large forest takes seconds.
@lru_cache(maxsize=2)
def _opened(content: bytes, role: str) -> ForeignModel:
    return open_skops(content, role) if role == SKOPS else open_onnx(content, role)


@dataclass(frozen=True)
class Variant:
    """A model, and how it came to be.

    Attributes:
        name: Its name; `original` for the model as it was.
        built: The model.
        parent: The variant that it was made from; empty for the original.
        methods: That made it, one after the other.
        notes: What was done, and what is to be known; whole sentences.
        parts: That became smaller in the last step.
        dropped: Columns that it does not ask for any more.
    """

    name: str
    built: Built
    parent: str = ""
    methods: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parts: tuple[PartSize, ...] = ()
    dropped: tuple[str, ...] = ()
