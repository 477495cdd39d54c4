"""Values of the modules of a torch network. Imports torch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn

from common.data.rows import RawRows
from services.analyzer.domain.hidden.source import HiddenLayer, Visit
from services.analyzer.domain.models.torch_package import TorchPackage

_TABLE_BATCH = 8192
_LARGE_BATCH = 125
_FUNCTIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.LeakyReLU: "leaky_relu",
    nn.ELU: "elu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
    nn.Hardtanh: "hardtanh",
    nn.Softsign: "softsign",
    nn.Sigmoid: "sigmoid",
    nn.Hardsigmoid: "hardsigmoid",
    nn.Softplus: "softplus",
}
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]


class TorchLayers:
    """The modules of a network, by their names in it."""

    note = ""

    def __init__(self, model: TorchPackage) -> None:
        """Computes nothing yet."""
        self._model = model

    @cached_property
    def layers(self) -> tuple[HiddenLayer, ...]:
        """See `HiddenSource`."""
        return tuple(HiddenLayer(name, _function(each)) for name, each in self._modules.items())

    @cached_property
    def usual(self) -> tuple[str, ...]:
        """See `HiddenSource`: functions that are not within a block, and blocks."""
        blocks = [f"{name}." for name, each in self._modules.items() if _is_block(each)]
        return tuple(
            name
            for name, each in self._modules.items()
            if not any(name.startswith(block) for block in blocks)
            and (_is_block(each) or type(each) in _FUNCTIONS)
        )

    def visit(self, raw: RawRows, names: Sequence[str], visit: Visit) -> None:
        """See `HiddenSource`. A layer that is computed several times is visited the first time."""
        rows = _TABLE_BATCH if self._model.takes_table else _LARGE_BATCH
        first = 0
        for part in raw.parts(rows):
            with torch.inference_mode(), self._watched(names, first, visit):
                self._model.network(*self._model.inputs(part))
            first += part.count

    @cached_property
    def _modules(self) -> dict[str, nn.Module]:
        """Modules that compute, in the order of their registration; not the network itself."""
        network = self._model.network
        return {
            name: each
            for name, each in network.named_modules()
            if name and not isinstance(each, nn.ModuleList | nn.ModuleDict)
        }

    @contextmanager
    def _watched(self, names: Sequence[str], first: int, visit: Visit) -> Iterator[None]:
        left = set(names)

        def hook_of(name: str) -> Hook:
            def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], found: Tensor) -> None:
                if name in left and isinstance(found, Tensor):
                    left.discard(name)
                    # At once: a function that works in place would change the values.
                    visit(name, first, found.float().contiguous().numpy())

            return hook

        handles = [self._modules[name].register_forward_hook(hook_of(name)) for name in names]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _is_block(module: nn.Module) -> bool:
    """Whether it is made of others in a way of its own, such as a residual block."""
    return not isinstance(module, _CONTAINERS) and any(True for _ in module.children())


def _function(module: nn.Module) -> str:
    """Returns the function that a module's values go through last."""
    if type(module) in _FUNCTIONS:
        return _FUNCTIONS[type(module)]
    children = list(module.children())
    return _function(children[-1]) if children else ""
