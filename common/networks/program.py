"""Networks as the operations that they do: any architecture, without its source. Imports no torch.

A program is what is left of a module when its Python is gone: operations in order, each with
constants and with what earlier ones gave. It can be kept as JSON, changed, and run again; nothing
in it is code.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Ref:
    """What an operation gave, or an input of the network.

    Attributes:
        name: Of the operation or of the input.
    """

    name: str


@dataclass(frozen=True)
class State:
    """A parameter or a buffer.

    Attributes:
        name: As in the module's `state_dict`, for instance `layers.0.weight`.
    """

    name: str


@dataclass(frozen=True)
class Word:
    """A data type, device, layout or the like.

    Attributes:
        name: For instance `float32`.
    """

    name: str


Argument = None | bool | int | float | str | Ref | State | Word | tuple["Argument", ...]


@dataclass(frozen=True)
class Operation:
    """One step.

    Attributes:
        name: Unique in the program.
        kind: For instance `aten.conv2d.default`, or `getitem`.
        arguments: By position.
        options: By name.
    """

    name: str
    kind: str
    arguments: tuple[Argument, ...] = ()
    options: Mapping[str, Argument] = field(default_factory=dict)

    @property
    def sources(self) -> Iterator[Ref | State]:
        """What it reads, in order."""
        for each in (*self.arguments, *self.options.values()):
            yield from _sources(each)


@dataclass(frozen=True)
class Program:
    """A network.

    Attributes:
        inputs: Names of what it takes in, in order.
        operations: In an order in which each finds what it reads.
        output: What it returns.
    """

    inputs: tuple[str, ...]
    operations: tuple[Operation, ...]
    output: Ref

    def to_json(self) -> str:
        """Returns the program as text."""
        operations = [
            {
                "name": each.name,
                "kind": each.kind,
                "arguments": [_plain(value) for value in each.arguments],
                "options": {name: _plain(value) for name, value in each.options.items()},
            }
            for each in self.operations
        ]
        found = {"inputs": self.inputs, "operations": operations, "output": self.output.name}
        return json.dumps(found)

    @classmethod
    def from_json(cls, text: str) -> "Program":
        """Returns the program that a text tells.

        Raises:
            ValueError: The text is none of a program.
        """
        try:
            found = json.loads(text)
            operations = tuple(
                Operation(
                    each["name"],
                    each["kind"],
                    tuple(_argument(value) for value in each["arguments"]),
                    {name: _argument(value) for name, value in each["options"].items()},
                )
                for each in found["operations"]
            )
            return cls(tuple(found["inputs"]), operations, Ref(found["output"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"This is not a network's program: {error}.") from error


_TAGS: Mapping[str, type[Ref] | type[State] | type[Word]] = {
    "ref": Ref,
    "state": State,
    "word": Word,
}


def _plain(argument: Argument) -> object:
    if isinstance(argument, tuple):
        return [_plain(each) for each in argument]
    for tag, kind in _TAGS.items():
        if isinstance(argument, kind):
            return {tag: argument.name}
    return argument


def _argument(value: object) -> Argument:
    if isinstance(value, list):
        return tuple(_argument(each) for each in value)
    if isinstance(value, dict):
        ((tag, name),) = value.items()
        return _TAGS[tag](str(name))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is no argument")


def _sources(argument: Argument) -> Iterator[Ref | State]:
    if isinstance(argument, tuple):
        for each in argument:
            yield from _sources(each)
    elif isinstance(argument, Ref | State):
        yield argument
