"""Counts the multiply-accumulates of a network's layers while it runs. Imports torch."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from services.analyzer.domain.layers import NETWORK, Layer

_OPERATIONS_PER_MULTIPLICATION = 2


class ProductCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation while it is entered, and counts it for the layer that is at work.

    `torch.utils.flop_counter.FlopCounterMode` knows of modules, too, but loads the compiler, which
    takes seconds.

    Attributes:
        products: Multiply-accumulates by name of the layer, without those of layers inside.
    """

    def __init__(self) -> None:
        """Starts at 0."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: Counter[str] = Counter()
        self._working = [NETWORK]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here: to keep the compiler out of it would load it.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """See `TorchDispatchMode`."""
        options = kwargs or {}
        found = func(*args, **options)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            operations = count(*args, **options, out_val=found)
            self.products[self._working[-1]] += operations // _OPERATIONS_PER_MULTIPLICATION
        return found

    @contextmanager
    def listening(self, layers: Iterable[Layer]) -> Iterator[None]:
        """Learns which layer is at work."""
        handles = []
        try:
            for layer in layers:
                assert layer.module is not None
                handles.append(layer.module.register_forward_pre_hook(self._beginning(layer.name)))
                handles.append(layer.module.register_forward_hook(self._end))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _beginning(self, name: str) -> Any:
        def begin(*given: Any) -> None:
            self._working.append(name)

        return begin

    def _end(self, *given: Any) -> None:
        self._working.pop()
