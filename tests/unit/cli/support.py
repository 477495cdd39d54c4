"""How commands are called without a terminal, and what they said."""

import io
from collections.abc import Callable
from unittest.mock import MagicMock

from common.cli.context import CliContext


def typer_context(cli: CliContext) -> MagicMock:
    """Returns what typer gives to a command."""
    return MagicMock(find_object=lambda kind: cli)


def call(command: Callable[..., None], cli: CliContext, *arguments: object, **more: object) -> None:
    """Calls a command as typer does."""
    command(typer_context(cli), *arguments, **more)


def shown_by(cli: CliContext) -> str:
    """Returns what the command has said."""
    assert isinstance(cli.console.file, io.StringIO)
    return cli.console.file.getvalue()
