"""Runs programs: a torch module of operations instead of Python."""

import operator
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from common.networks.program import Argument, Operation, Program, Ref, State, Word

_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "getitem": operator.getitem,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "neg": operator.neg,
}
_TRAINING = {"dropout": 2, "batch_norm": 5, "lstm": 6, "gru": 6, "rnn_tanh": 6, "rnn_relu": 6}
"""Where operations are told whether the network is being trained, by name."""
_ATTENTION, _ATTENTION_DROPOUT = "scaled_dot_product_attention", 4

_NAMES = """
    abs adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d add addmm alias amax arange
    avg_pool1d avg_pool2d baddbmm batch_norm bmm cat celu chunk clamp clone constant_pad_nd
    contiguous conv1d conv2d conv3d conv_transpose1d conv_transpose2d cos cumsum detach div dropout
    einsum elu embedding embedding_bag eq exp expand expand_as flatten flip full full_like gather ge
    gelu glu group_norm gru gt hardsigmoid hardswish hardtanh index index_select layer_norm le
    leaky_relu linear log log_softmax logical_not lstm lt masked_fill matmul max max_pool1d
    max_pool2d maximum mean min minimum mish mm movedim mul ne neg ones ones_like pad permute
    pixel_shuffle pixel_unshuffle pow prelu reciprocal reflection_pad2d relu relu6 remainder repeat
    replication_pad2d reshape rms_norm rnn_relu rnn_tanh roll rsqrt rsub
    scaled_dot_product_attention select selu sigmoid silu sin slice softmax softplus split
    split_with_sizes sqrt square squeeze stack std sub sum sym_numel sym_size t tanh to transpose
    tril triu type_as unbind unflatten unsqueeze upsample_bilinear2d upsample_nearest1d
    upsample_nearest2d var view where zeros zeros_like
"""
KNOWN = frozenset(_NAMES.split())
"""Operations of ATen that a program may hold."""


def base_name(kind: str) -> str:
    """Returns an operation's name, for instance `conv2d` of `aten.conv2d.default`.

    What is done in place and what is not is the same operation.
    """
    return kind.split(".")[1].removesuffix("_") if kind.startswith("aten.") else kind


class UnknownOperationError(ValueError):
    """A program holds what is not known to be harmless."""


@cache
def function_of(kind: str) -> Callable[..., Any]:
    """Returns what does an operation.

    Args:
        kind: See `Operation.kind`.

    Raises:
        UnknownOperationError: It is none of `KNOWN`.
    """
    if kind in _OPERATORS:
        return _OPERATORS[kind]
    parts = kind.split(".")
    if len(parts) != 3 or parts[0] != "aten" or base_name(kind) not in KNOWN:
        raise UnknownOperationError(f"The operation {kind} is not known.")
    found: Callable[..., Any] = getattr(getattr(torch.ops.aten, parts[1]), parts[2])
    return found


class ProgramNetwork(nn.Module):
    """A program with its parameters and buffers, whose names are those of the original module."""

    def __init__(
        self, program: Program, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor]
    ) -> None:
        """Takes tensors over; each becomes one of this module's own.

        Args:
            program: What it does.
            parameters: By name; floating-point ones are learned.
            buffers: By name.

        Raises:
            UnknownOperationError: The program holds what is not known.
        """
        super().__init__()
        self.program = program
        for each in program.operations:
            function_of(each.kind)
        self._last_use = _last_uses(program)
        for name, tensor in parameters.items():
            parent, own = self._parent(name)
            parent.register_parameter(own, nn.Parameter(tensor, tensor.is_floating_point()))
        for name, tensor in buffers.items():
            parent, own = self._parent(name)
            parent.register_buffer(own, tensor)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns the output for inputs, in the order of `Program.inputs`."""
        found: dict[str, Any] = dict(zip(self.program.inputs, inputs, strict=True))
        for operation in self.program.operations:
            found[operation.name] = self.done(operation, found)
            for name in self._last_use.get(operation.name, ()):
                del found[name]
        output: Tensor = found[self.program.output.name]
        return output

    def done(self, operation: Operation, found: Mapping[str, Any]) -> Any:
        """Returns what an operation gives.

        Args:
            operation: One of the program's.
            found: What those before gave, and the inputs, by name.
        """
        arguments = [self._value(each, found) for each in operation.arguments]
        options = {name: self._value(each, found) for name, each in operation.options.items()}
        _set_training(operation, arguments, options, self.training)
        return function_of(operation.kind)(*arguments, **options)

    def copied_states(self) -> dict[str, Tensor]:
        """Returns copies of the parameters and buffers by name, which can be written to."""
        return {name: each.detach().clone() for name, each in self.state_dict().items()}

    def changed(self, program: Program, states: Mapping[str, Tensor]) -> "ProgramNetwork":
        """Returns another network of the same parameters and buffers by name.

        Args:
            program: What it does.
            states: Parameters and buffers, of any shape.
        """
        learned = {name for name, _ in self.named_parameters()}
        found = ProgramNetwork(
            program,
            {name: each.contiguous() for name, each in states.items() if name in learned},
            {name: each.contiguous() for name, each in states.items() if name not in learned},
        )
        return found.train(self.training)

    def _value(self, argument: Argument, found: Mapping[str, Any]) -> Any:
        if isinstance(argument, tuple):
            return [self._value(each, found) for each in argument]
        if isinstance(argument, Ref):
            return found[argument.name]
        if isinstance(argument, State):
            parent, _, own = argument.name.rpartition(".")
            return getattr(self.get_submodule(parent), own)
        if isinstance(argument, Word):
            return getattr(torch, argument.name)
        return argument

    def _parent(self, name: str) -> tuple[nn.Module, str]:
        """Returns the module that holds a parameter, which is made where it is not there."""
        *path, own = name.split(".")
        parent: nn.Module = self
        for each in path:
            if each not in dict(parent.named_children()):
                parent.add_module(each, nn.Module())
            parent = parent.get_submodule(each)
        return parent, own


def _set_training(
    operation: Operation, arguments: list[Any], options: dict[str, Any], is_training: bool
) -> None:
    name = base_name(operation.kind)
    if name in _TRAINING:
        arguments[_TRAINING[name]] = is_training
    if name == _ATTENTION and not is_training:
        if len(arguments) > _ATTENTION_DROPOUT:
            arguments[_ATTENTION_DROPOUT] = 0.0
        options.pop("dropout_p", None)


def _last_uses(program: Program) -> dict[str, list[str]]:
    """Returns which results no operation after one of a name needs any more."""
    last: dict[str, str] = {}
    for operation in program.operations:
        last[operation.name] = operation.name
        for each in operation.sources:
            if isinstance(each, Ref):
                last[each.name] = operation.name
    found: dict[str, list[str]] = {}
    for name, user in last.items():
        if name != program.output.name:
            found.setdefault(user, []).append(name)
    return found
