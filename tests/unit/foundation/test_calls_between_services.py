"""Calls between services have one way: by the public contracts, bounded in time, safe to repeat."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor

from common.calls import client
from common.contracts import methods

ROOT = Path(client.__file__).parents[2]
OPENERS = {
    "common/tls.py",  # opens them
    "common/calls/client.py",  # with deadlines, retries, trace and identity
    "common/local/readiness.py",  # asks whether a process is up, which must not retry
}
_OPENS = re.compile(r"\b(?:insecure_channel|secure_channel|aio_channel|\.channel)\(")


def test_channels_are_opened_in_one_place() -> None:
    """A channel of somebody's own would have no deadline, no trace, and hide who asked."""
    found = {
        str(path.relative_to(ROOT))
        for room in ("common", "services")
        for path in (ROOT / room).rglob("*.py")
        if _OPENS.search(path.read_text())
    }
    assert found == OPENERS


def retried() -> Iterator[MethodDescriptor]:
    """Yields the methods that a channel calls again by itself."""
    for method in methods():
        if client.is_retried(method):
            yield method


@pytest.mark.parametrize("method", retried(), ids=lambda it: it.full_name)
def test_what_is_called_again_may_be(method: MethodDescriptor) -> None:
    """A Create whose answer was lost is made again: its request id keeps it from making two."""
    is_create = method.name.startswith("Create") and method.name != "CreateArtifactUrl"
    if is_create:
        assert "request_id" in method.input_type.fields_by_name
