"""The safetensors files that are written without the library read as its own."""

import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from services.trainer.worker.encoding import encoded

TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
SHAPES = st.lists(st.integers(0, 4), max_size=3)


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, Tensor]:
    """Returns tensors of many types and shapes, also empty ones and views."""
    found = {}
    for name in draw(st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=5)):
        kind, shape = draw(st.sampled_from(TYPES)), draw(SHAPES)
        tensor = torch.randint(0, 100, shape).to(kind)
        found[name] = tensor.transpose(0, 1) if len(shape) > 1 and draw(st.booleans()) else tensor
    found.pop("__metadata__", None)
    return found


@given(tensors(), st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3))
def test_files_read_as_the_library_reads_its_own(
    given_tensors: dict[str, Tensor], metadata: dict[str, str]
) -> None:
    """Protects commits and checkpoints: every tensor, type and shape comes back."""
    content = b"".join(encoded(given_tensors, metadata))
    found = safetensors.torch.load(content)
    assert found.keys() == given_tensors.keys()
    for name, tensor in given_tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_buffers_share_memory_with_tensors() -> None:
    """Protects the one copy that a commit makes."""
    tensor = torch.zeros(1_000)
    parts = encoded({"x": tensor}, {})
    tensor.fill_(7)
    assert torch.equal(safetensors.torch.load(b"".join(parts))["x"], torch.full((1_000,), 7.0))
