"""All methods of the suite's contracts, found where their stubs lie."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import MethodDescriptor

from aimass.type.v1 import method_pb2

_STUBS = Path(method_pb2.__file__).parents[2]


def methods() -> Iterator[MethodDescriptor]:
    """Yields every method, after loading the stub that describes it."""
    for path in sorted(_STUBS.glob("*/v*/*_pb2.py")):
        name = ".".join(("aimass", *path.relative_to(_STUBS).with_suffix("").parts))
        for service in importlib.import_module(name).DESCRIPTOR.services_by_name.values():
            yield from service.methods


def path_of(method: MethodDescriptor) -> str:
    """Returns the full name of a method, as a call has it."""
    return f"/{method.containing_service.full_name}/{method.name}"
