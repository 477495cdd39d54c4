"""How errors reach a person: one clear message, no traceback."""

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from rich.console import Console
from rich.markup import escape

from common.cli.text import harmless
from common.errors import AimassError, is_full_disk, to_status
from common.tls import TlsFiles


class CliError(Exception):
    """Something the user can mend.

    Attributes:
        message: What is wrong, one sentence.
        details: Further lines.
        hint: A command that helps; empty for none.
    """

    def __init__(self, message: str, details: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.hint = hint


class CommandInterruptedError(CliError):
    """Ctrl-C: the message says what goes on or was left, the hint how to come back to it."""

    def __init__(self, message: str = "", details: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(f"Interrupted: {message}" if message else "Interrupted.", details, hint)


def from_status(status: status_pb2.Status) -> CliError:
    """Returns what a status says: message, wrong fields, and the command that helps."""
    lines: list[str] = []
    hints: list[str] = []
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        help_ = error_details_pb2.Help()
        if detail.Unpack(bad):
            lines += [f"{each.field}: {each.description}" for each in bad.field_violations]
        elif detail.Unpack(help_):
            hints += [link.description for link in help_.links]
    message = status.message or grpc_code_name(status.code)
    details = tuple(line for line in lines if line != message)
    return CliError(message, details, hints[0] if hints else "")


def from_rpc(error: grpc.RpcError) -> CliError:
    """Returns what a failed call says."""
    if not isinstance(error, grpc.Call):
        return CliError(str(error))
    status = rpc_status.from_call(error)
    if status is not None:
        return from_status(status)
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        details = error.details() or ""
        said = TlsFiles.from_environment().explain(details)
        lines = (said, details) if said else (details,)
        return CliError("The suite does not answer.", lines, "aimass status")
    return CliError(f"{error.code().name}: {error.details() or 'no details'}")


def said_by(error: Exception) -> CliError:
    """Returns what an error of any kind that a command may end by says to its user."""
    if isinstance(error, CliError):
        return error
    if isinstance(error, grpc.RpcError):
        return from_rpc(error)
    if isinstance(error, AimassError) or is_full_disk(error):
        return from_status(to_status(error))
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return CliError(f"{where}{error.strerror}.")
    return CliError(str(error))


def show(error: CliError, console: Console) -> None:
    """Prints an error with its details and hint."""
    heading = "" if isinstance(error, CommandInterruptedError) else "[bold red]Error:[/] "
    console.print(f"{heading}{escape(harmless(error.message))}", soft_wrap=True)
    for line in error.details:
        console.print(f"  {escape(harmless(line))}", soft_wrap=True)
    if error.hint:
        console.print(f"[dim]Try:[/] {escape(harmless(error.hint))}", soft_wrap=True)


def grpc_code_name(code: int) -> str:
    """Returns the name of a status code, for example `NOT_FOUND`."""
    return next((each.name for each in grpc.StatusCode if each.value[0] == code), str(code))
