"""All methods of the suite's contracts, found where their stubs lie."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import MethodDescriptor

STUBS = Path(__file__).parents[2] / "protos" / "gen"


def methods() -> Iterator[MethodDescriptor]:
    """Yields every method."""
    for path in sorted(STUBS.rglob("*_pb2.py")):
        name = ".".join(path.relative_to(STUBS).with_suffix("").parts)
        for service in importlib.import_module(name).DESCRIPTOR.services_by_name.values():
            yield from service.methods


def path_of(method: MethodDescriptor) -> str:
    """Returns the full name of a method, as a call has it."""
    return f"/{method.containing_service.full_name}/{method.name}"
