"""Kinds of networks as torch modules, found by their names."""

import importlib
import importlib.util
from typing import Any

from common.networks.torch_kinds.base import TorchKind


def torch_kind(name: str) -> TorchKind[Any]:
    """Returns the `KIND` of the module here that is called like the kind.

    Args:
        name: One of `common.networks.specification.KINDS`.

    Raises:
        KeyError: There is none: a `custom` network is built from its own program.
    """
    module = f"{__package__}.{name}"
    if importlib.util.find_spec(module) is None:
        raise KeyError(name)
    found: TorchKind[Any] = importlib.import_module(module).KIND
    return found
