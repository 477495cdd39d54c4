"""Records what goes from layer to layer in a network, by running it. Imports torch."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from services.analyzer.domain.layers import Layer

_OWN_NAMES = {"__add__": "add", "__radd__": "add", "__mul__": "mul", "__matmul__": "matmul"}


class Dataflow(TorchFunctionMode):
    """Sees every operation on tensors while it is entered.

    Operations between layers that join several values, such as residual additions, become nodes of
    their own; others (reshaping, slicing) are passed over.

    Attributes:
        nodes: What each node gave, in the order of their first use, by name: shape and bytes.
        joins: Kinds of the nodes that are operations.
        edges: Names of nodes, or inputs, and of the nodes that take what they give.
        takes: Shape of the first thing that a node takes.
    """

    def __init__(self, network: nn.Module, layers: Iterable[Layer], names: Iterable[str]) -> None:
        """Prepares to record.

        Args:
            network: The network.
            layers: Its layers.
            names: Of its inputs, in order.
        """
        super().__init__()
        self.nodes: dict[str, tuple[tuple[int, ...], int]] = {}
        self.joins: dict[str, str] = {}
        self.edges: dict[tuple[str, str], None] = {}
        self.takes: dict[str, tuple[int, ...]] = {}
        self._network = network
        self._layers = {id(layer.module): layer.name for layer in layers}
        self._owners = {
            id(parameter): layer.name
            for layer in layers
            if layer.module is not None
            for parameter in layer.module.parameters(recurse=False)
        }
        self._names = tuple(names)
        # The tensor is kept, so that its id stays its own.
        self._makers: dict[int, tuple[Tensor, tuple[str, ...]]] = {}
        self._path: list[str] = []
        self._inside = 0

    def record(self, inputs: tuple[Tensor, ...]) -> None:
        """Runs the network once."""
        for name, tensor in zip(self._names, inputs, strict=True):
            self._makers[id(tensor)] = (tensor, (name,))
        with torch.inference_mode(), self._hooks(), self:
            self._network(*inputs)

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> Any:
        """See `TorchFunctionMode`."""
        found = func(*args, **(kwargs or {}))
        if not self._inside and isinstance(found, Tensor):
            self._operation(func, [*_tensors(args), *_tensors((kwargs or {}).values())], found)
        return found

    def _operation(self, func: Any, given: list[Tensor], found: Tensor) -> None:
        makers = self._makers_of(given)
        owner = next((self._owners[id(each)] for each in given if id(each) in self._owners), None)
        if owner is not None:
            self._add(owner, makers, given, found)
        elif len(makers) > 1:
            own = getattr(func, "__name__", "operation")
            kind = _OWN_NAMES.get(own, own)
            self._add(self._free(kind), makers, given, found)
        elif makers:
            self._makers[id(found)] = (found, makers)

    def _add(
        self, name: str, makers: Iterable[str], given: Iterable[Tensor], found: Tensor
    ) -> None:
        self.edges.update(dict.fromkeys((maker, name) for maker in makers if maker != name))
        self.nodes.setdefault(name, (tuple(found.shape), found.nbytes))
        first = next((each for each in given if id(each) in self._makers), None)
        self.takes.setdefault(name, () if first is None else tuple(first.shape))
        self._makers[id(found)] = (found, (name,))

    def _makers_of(self, given: Iterable[Tensor]) -> tuple[str, ...]:
        known = [self._makers[id(each)][1] for each in given if id(each) in self._makers]
        return tuple(dict.fromkeys(maker for makers in known for maker in makers))

    def _free(self, kind: str) -> str:
        """Returns a new name of an operation in the module that is at work."""
        path = next((each for each in reversed(self._path) if each), "")
        name = f"{path}.{kind}" if path else kind
        taken = sum(each == name or each.startswith(f"{name}_") for each in self.joins)
        name = f"{name}_{taken + 1}" if taken else name
        self.joins[name] = kind
        return name

    @contextmanager
    def _hooks(self) -> Iterator[None]:
        handles: list[RemovableHandle] = []
        try:
            for name, module in self._network.named_modules():
                handles += self._hooked(name, module)
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hooked(self, name: str, module: nn.Module) -> list[RemovableHandle]:
        layer = self._layers.get(id(module))
        is_inner = layer is not None and not any(True for _ in module.children())
        own = layer or name

        def before(module: nn.Module, given: tuple[object, ...]) -> None:
            self._path.append(name)
            self._inside += is_inner

        def after(module: nn.Module, given: tuple[object, ...], found: object) -> None:
            self._path.pop()
            self._inside -= is_inner
            tensors = list(_tensors(given))
            if is_inner and isinstance(found, Tensor):
                self._add(own, self._makers_of(tensors), tensors, found)

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def _tensors(values: Iterable[object]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
