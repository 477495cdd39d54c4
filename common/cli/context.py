"""What every command gets: where the suite is and how to print."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TextIO

import typer
import yaml
from google.protobuf import json_format
from google.protobuf.message import Message
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from common.cli.connection import Clients, find_endpoint
from common.cli.text import harmless
from common.local.home import SuiteHome

_PIPE_WIDTH = 200


def make_console(stream: TextIO | None = None) -> Console:
    """Returns a console; where nobody looks on, lines are not broken at 80 characters."""
    target = stream or sys.stdout
    return Console(file=target, width=None if target.isatty() else _PIPE_WIDTH, highlight=False)


@dataclass
class CliContext:
    """The state of one call of the command.

    Attributes:
        home: State folder of the local suite.
        as_json: Whether resources are printed as JSON.
        console: Where results go.
    """

    home: SuiteHome
    as_json: bool = False
    console: Console = field(default_factory=make_console)

    @cached_property
    def clients(self) -> Clients:
        """The stubs of the suite."""
        return Clients(find_endpoint(self.home))

    def print_json(self, messages: Iterable[Message]) -> None:
        """Prints messages as JSON, one after the other, with the field names of the contract."""
        for message in messages:
            text = json_format.MessageToJson(message, preserving_proto_field_name=True)
            self.console.print(text, soft_wrap=True, markup=False)

    def print_yaml(self, message: Message) -> None:
        """Prints a message as YAML with the field names of the contract."""
        plain = json_format.MessageToDict(message, preserving_proto_field_name=True)
        dumped = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
        self.console.print(harmless(dumped), soft_wrap=True, markup=False, end="")

    def print_table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str | Text]],
        *,
        verbatim: bool = False,
    ) -> None:
        """Prints a table. See `make_table`."""
        print_trimmed(self.console, make_table(columns, rows, verbatim=verbatim))


def print_trimmed(console: Console, table: Table) -> None:
    """Prints a table without the blanks that pad its lines."""
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    console.out("\n".join(line for line in lines if line), highlight=False)


def make_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    title: str = "",
    *,
    verbatim: bool = False,
    top: bool = False,
) -> Table:
    """Returns a table.

    Args:
        columns: Names; `>` before one aligns it to the right, `/` breaks its line.
        rows: Cells. The first column is never broken.
        title: Title.
        verbatim: Whether names are of data, and printed as they are but for the `>`.
        top: Whether the cells of a row begin side by side, where some have several lines.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title or None, title_justify="left")
    for column in columns:
        name = column.removeprefix(">")
        heading = name if verbatim else name.replace("/", "\n").replace("_", " ")
        table.add_column(
            escape(harmless(heading)),
            justify="right" if column.startswith(">") else "left",
            vertical="top" if top else "bottom",
            no_wrap=not table.columns,
        )
    for row in rows:
        cells = (cell if isinstance(cell, Text) else escape(harmless(cell)) for cell in row)
        table.add_row(*cells)
    return table


def context_of(context: typer.Context) -> CliContext:
    """Returns the state of this call."""
    found = context.find_object(CliContext)
    assert found is not None, "the root command sets it"
    return found
