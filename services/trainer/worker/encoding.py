"""The safetensors format as buffers that share the tensors' memory: written without a copy."""

import json
import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_KINDS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_LENGTH = struct.Struct("<Q")
_ALIGNMENT = 8


def encoded(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[memoryview]:
    """Returns the parts of a safetensors file, one after the other.

    Args:
        tensors: By name. The parts change with them, where they lie in one piece in the processor's
            memory.
        metadata: Texts by name.

    Raises:
        KeyError: A tensor has a type that is not among safetensors'.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    parts, end = [], 0
    # Types with more bytes first, so that every tensor is aligned.
    for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
        tensor = tensors[name]
        parts.append(_bytes_of(tensor))
        offsets = [end, end + parts[-1].nbytes]
        kind, end = _KINDS[tensor.dtype], offsets[1]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return [memoryview(_LENGTH.pack(len(text)) + text), *parts]


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    content: npt.NDArray[np.uint8] = flat.view(torch.uint8).numpy()
    return content.data
