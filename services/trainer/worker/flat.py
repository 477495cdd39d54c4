"""A network whose parameters lie in one tensor, and whose exchange with other workers in another.

One tensor means one reduction, one kernel for the optimizer's step, one copy for a commit. The
weights of convolutions lie channels last: that makes all of an image network's operations do so,
which takes about half the time on a processor.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

_CONVOLUTION_DIMENSIONS = 4  # outputs, inputs, height, width


class FlatNetwork:
    """A network in flat form.

    Attributes:
        network: The module; its parameters and buffers are views of the tensors below.
        parameters: All parameters, shape (parameters,), with the gradients as `grad`.
        gradient: Of the parameters, shape (parameters,); a view of `exchange`.
        buffers: All floating-point buffers that are part of the state (batch norm's running
            statistics), shape (buffers,); a view of `exchange`.
        sums: Room for sums over rows, to be added up over workers; a view of `exchange`.
        wish: More than 0 where a worker wants a commit after the step, shape (1,); a view of
            `exchange`.
        words: Sums and wish; a view of `exchange`.
        others: Buffers and words; a view of `exchange`.
        exchange: Gradients, buffers and words: what workers add up in each step.
    """

    def __init__(self, network: nn.Module, sums: int, device: torch.device | None = None) -> None:
        """Moves a network's tensors.

        Args:
            network: Changed in place.
            sums: Number of sums to exchange.
            device: Where to; the processor by default.
        """
        self.network = network.to(device)
        self._tensors = list(network.parameters())
        moved = _state_buffers(network)
        counts = sum(map(Tensor.numel, self._tensors)), sum(map(Tensor.numel, moved))
        self.parameters = nn.Parameter(torch.empty(counts[0], device=device))
        self.exchange = torch.zeros(sum(counts) + sums + 1, device=device)
        self.gradient = self.exchange[: counts[0]]
        self.buffers = self.exchange[counts[0] : sum(counts)]
        self.words = self.exchange[sum(counts) :]
        self.sums, self.wish = self.words[:sums], self.words[sums:]
        self.others = self.exchange[counts[0] :]
        self.parameters.grad = self.gradient
        with torch.no_grad():
            _move(self._tensors, self.parameters.detach())
            _move(moved, self.buffers)
        self._gradient_views = _views(self._tensors, self.gradient)

    def flattened(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Returns numbers for the parameters in flat form, shape (parameters,).

        Args:
            tensors: By the parameters' names; 0 for those that are missing.
        """
        flat = torch.zeros_like(self.parameters, requires_grad=False)
        names = [name for name, _ in self.network.named_parameters()]
        for name, view in zip(names, _views(self._tensors, flat), strict=True):
            if name in tensors:
                view.copy_(tensors[name])
        return flat

    def take(self, parameters: Tensor, buffers: Tensor) -> None:
        """Gives the network other weights and buffers, in flat form."""
        with torch.no_grad():
            self.parameters.copy_(parameters)
            self.buffers.copy_(buffers)

    def zero_gradients(self) -> None:
        """Forgets the gradients of the last step."""
        for tensor in self._tensors:
            tensor.grad = None

    def gather_gradients(self) -> None:
        """Copies the gradients of the backward pass to `exchange`; a missing one counts as zero.

        A copy is cheaper than gradients that are views: those have to be zeroed and added to.
        """
        views, gradients = [], []
        for tensor, view in zip(self._tensors, self._gradient_views, strict=True):
            if tensor.grad is None:
                view.zero_()
            else:
                views.append(view)
                gradients.append(tensor.grad)
        if views:
            torch._foreach_copy_(views, gradients)


def _state_buffers(network: nn.Module) -> list[Tensor]:
    state = network.state_dict(keep_vars=True)
    buffers = dict(network.named_buffers())
    return [buffers[name] for name in state if name in buffers and state[name].is_floating_point()]


def _views(tensors: Sequence[Tensor], room: Tensor) -> list[Tensor]:
    """Returns parts of a flat tensor, one after the other, in the shapes of these tensors."""
    parts = torch.split(room, [tensor.numel() for tensor in tensors])
    return [_view(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def _view(part: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) != _CONVOLUTION_DIMENSIONS:
        return part.view(shape)
    outputs, inputs, height, width = shape
    return part.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


def _move(tensors: Sequence[Tensor], room: Tensor) -> None:
    for tensor, view in zip(tensors, _views(tensors, room), strict=True):
        view.copy_(tensor)
        tensor.data = view
