"""Whole blocks: what is added to something that goes past it need not be there at all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from common.networks.program import Argument, Operation, Program, Ref, State
from common.networks.program_network import ProgramNetwork, base_name


@dataclass(frozen=True)
class Block:
    """A branch of a sum.

    Attributes:
        sum: Name of the operation that adds.
        kept: What the sum becomes without the branch.
    """

    sum: str
    kept: Ref


def blocks_of(network: ProgramNetwork, inputs: Sequence[Tensor]) -> tuple[Block, ...]:
    """Returns the branches that a network would still run without.

    Of two branches the longer one may go: that of a residual block (Veit et al., Residual networks
    behave like ensembles of relatively shallow networks, 2016).

    Args:
        network: Is run once.
        inputs: An example.
    """
    values = _values(network, inputs)
    needs = _needs(network.program)
    found = []
    for operation in network.program.operations:
        terms = [each for each in operation.arguments if isinstance(each, Ref)]
        if base_name(operation.kind) != "add" or len(terms) != 2 or operation.options:
            continue
        shapes = [getattr(values[each.name], "shape", None) for each in terms]
        first, second = (needs[each.name] for each in terms)
        if shapes[0] is not None and shapes[0] == shapes[1] and first != second:
            shorter = min(terms, key=lambda each: len(needs[each.name]))
            found.append(Block(operation.name, shorter))
    return tuple(found)


def without_block(network: ProgramNetwork, block: Block) -> ProgramNetwork:
    """Returns a network without a branch and what only the branch needs."""
    program = network.program
    operations = tuple(
        replace(
            each,
            arguments=tuple(_replaced(own, block) for own in each.arguments),
            options={name: _replaced(own, block) for name, own in each.options.items()},
        )
        for each in program.operations
    )
    output = block.kept if program.output == Ref(block.sum) else program.output
    changed = Program(program.inputs, operations, output)
    needed = {*_needs(changed)[output.name], output.name}
    left = tuple(each for each in operations if each.name in needed)
    used = {each.name for step in left for each in step.sources if isinstance(each, State)}
    states = {
        name: each.detach().clone() for name, each in network.state_dict().items() if name in used
    }
    return network.changed(replace(changed, operations=left), states)


def _values(network: ProgramNetwork, inputs: Sequence[Tensor]) -> Mapping[str, Any]:
    values: dict[str, Any] = dict(zip(network.program.inputs, inputs, strict=True))
    network.eval()
    with torch.no_grad():
        for operation in network.program.operations:
            values[operation.name] = network.done(operation, values)
    return values


def _needs(program: Program) -> Mapping[str, frozenset[str]]:
    """Returns all operations and inputs that each operation directly or indirectly reads."""
    found: dict[str, frozenset[str]] = {name: frozenset() for name in program.inputs}
    for operation in program.operations:
        read = set(_read(operation))
        found[operation.name] = frozenset(read.union(*(found[each] for each in read)))
    return found


def _read(operation: Operation) -> Iterator[str]:
    return (each.name for each in operation.sources if isinstance(each, Ref))


def _replaced(argument: Argument, block: Block) -> Argument:
    if isinstance(argument, tuple):
        return tuple(_replaced(each, block) for each in argument)
    return block.kept if argument == Ref(block.sum) else argument
