"""From a torch module to a program: by `torch.export`, which follows the real operations."""

import inspect
import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export
from torch.export.graph_signature import InputKind

from common.networks.program import Argument, Operation, Program, Ref, State, Word
from common.networks.program_network import ProgramNetwork, UnknownOperationError

_OPERATORS: Mapping[Any, str] = {
    operator.getitem: "getitem",
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.floordiv: "floordiv",
    operator.neg: "neg",
}
_OF_PLACES = ("device", "pin_memory", "layout", "memory_format")
"""Options that say where tensors are, not what they hold."""
_COUNTS = "num_batches_tracked"
_CLOSE = 1e-4


class NotTraceableError(ValueError):
    """What a module does cannot be followed."""


def capture(module: nn.Module, inputs: Sequence[Tensor]) -> ProgramNetwork:
    """Returns a module as a program that does the same for any number of rows.

    Args:
        module: Its parameters are copied.
        inputs: An example: tensors whose first dimension is rows, at least two.

    Raises:
        NotTraceableError: Its operations depend on values, or are not known.
    """
    example = tuple(inputs)
    was_training = module.training
    module.train()
    try:
        exported = _exported(module, example)
    finally:
        module.train(was_training)
    network = _network(exported)
    _check(module, network, example)
    return network.train(was_training)


def _exported(module: nn.Module, example: tuple[Tensor, ...]) -> ExportedProgram:
    rows = Dim("rows", min=1)
    shapes = _by_argument(module, [{0: rows} for _ in example])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return export(module, example, dynamic_shapes=shapes, strict=False)
    except Exception as error:
        # The module's own code runs in there, and the exporter has no base class of its own.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise NotTraceableError(f"Its operations cannot be followed: {lines[0]}") from error


def _by_argument(module: nn.Module, shapes: Sequence[object]) -> tuple[object, ...]:
    """Returns shapes as the module's arguments are: those of `*inputs` are one."""
    kinds = [each.kind for each in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return tuple(shapes)
    single = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*shapes[:single], tuple(shapes[single:]))


def _network(exported: ExportedProgram) -> ProgramNetwork:
    reader = _Reader.of(exported)
    found = (reader.operation(node) for node in exported.graph.nodes)
    operations, renamed = _out_of_place(each for each in found if each is not None)
    (output,) = next(node for node in exported.graph.nodes if node.op == "output").args
    if len(output) != 1 or not isinstance(output[0], fx.Node):
        raise NotTraceableError("It returns more than one tensor.")
    program = Program(reader.inputs, operations, renamed.get(output[0].name, Ref(output[0].name)))
    tensors = dict(exported.state_dict) | dict(exported.constants)
    used = {each.name for step in operations for each in step.sources if isinstance(each, State)}
    learned = {name for name, each in tensors.items() if isinstance(each, nn.Parameter)}
    try:
        return ProgramNetwork(
            program,
            {name: tensors[name].detach().clone() for name in sorted(used & learned)},
            {name: tensors[name].detach().clone() for name in sorted(used - learned)},
        )
    except UnknownOperationError as error:
        raise NotTraceableError(str(error)) from error


def _out_of_place(
    operations: Iterable[Operation],
) -> tuple[tuple[Operation, ...], Mapping[str, Ref]]:
    """Returns operations that leave alone what they take, and what their operands became by name.

    What is done in place holds only as long as nothing else reads the same tensor, and that changes
    where a block goes.
    """
    found: list[Operation] = []
    renamed: dict[str, Ref] = {}
    for each in operations:
        kind = each.kind
        if kind.startswith("aten.") and kind.split(".")[1].endswith("_"):
            kind = kind.replace("_.", ".", 1)
        done = Operation(
            each.name,
            kind,
            tuple(_renamed(own, renamed) for own in each.arguments),
            {name: _renamed(own, renamed) for name, own in each.options.items()},
        )
        found.append(done)
        if kind != each.kind and isinstance(target := each.arguments[0], Ref):
            first = done.arguments[0]
            was = {name for name, ref in renamed.items() if ref == first}
            renamed |= dict.fromkeys({target.name, *was}, Ref(each.name))
    return tuple(found), renamed


def _renamed(argument: Argument, renamed: Mapping[str, Ref]) -> Argument:
    if isinstance(argument, tuple):
        return tuple(_renamed(each, renamed) for each in argument)
    return renamed.get(argument.name, argument) if isinstance(argument, Ref) else argument


@dataclass(frozen=True)
class _Reader:
    """Reads the nodes of a graph.

    Attributes:
        inputs: Names of what the network takes in.
        states: What parameters and buffers are called, by the name of their node.
    """

    inputs: tuple[str, ...]
    states: Mapping[str, str]

    @classmethod
    def of(cls, exported: ExportedProgram) -> "_Reader":
        """Returns the reader for a graph; tensors that are the same have one name."""
        signature = exported.graph_signature
        tensors = dict(exported.state_dict) | dict(exported.constants)
        first: dict[int, str] = {}
        states = {}
        for each in signature.input_specs:
            if each.kind is not InputKind.USER_INPUT and each.target is not None:
                states[each.arg.name] = first.setdefault(id(tensors[each.target]), each.target)
        inputs = tuple(
            each.arg.name for each in signature.input_specs if each.kind is InputKind.USER_INPUT
        )
        return cls(inputs, states)

    def operation(self, node: fx.Node) -> Operation | None:
        """Returns the operation that a node stands for; None for none."""
        if node.op != "call_function" or self._is_count(node):
            return None
        kind = _OPERATORS.get(node.target) or str(node.target)
        options = {
            name: self._argument(each)
            for name, each in node.kwargs.items()
            if name not in _OF_PLACES
        }
        return Operation(node.name, kind, tuple(map(self._argument, node.args)), options)

    def _is_count(self, node: fx.Node) -> bool:
        """Whether a node counts the batches that a normalisation has seen: nothing reads it."""
        first = node.args[0] if node.args else None
        name = self.states.get(first.name, "") if isinstance(first, fx.Node) else ""
        return name.endswith(_COUNTS)

    def _argument(self, value: Any) -> Argument:
        if isinstance(value, fx.Node):
            name = self.states.get(value.name)
            return Ref(value.name) if name is None else State(name)
        if isinstance(value, list | tuple):
            return tuple(self._argument(each) for each in value)
        if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            return Word(str(value).removeprefix("torch."))
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise NotTraceableError(f"An operation takes a {type(value).__name__}.")


def _check(module: nn.Module, network: ProgramNetwork, example: tuple[Tensor, ...]) -> None:
    """Refuses a program that does something else: what is done in training alone is no reason."""
    was_training = module.training
    module.eval()
    network.eval()
    try:
        with torch.no_grad():
            expected, found = module(*example), network(*example)
            again = network(*(each[:1] for each in example))
    except RuntimeError as error:
        raise NotTraceableError(f"Its program does not run: {error}") from error
    finally:
        module.train(was_training)
    scale = max(float(expected.abs().max()), 1.0)
    both = (found - expected, again - found[:1])
    if any(float(each.abs().max()) > _CLOSE * scale for each in both):
        raise NotTraceableError("Its operations depend on values or on the number of rows.")
