"""The one catalogue of errors that reach a caller.

Raise these anywhere, also where grpc is unknown; the errors interceptor turns them into a status
with details, and a run's process into the run's `error`.
"""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "aimass"
_FULL_DISK_WORDS = ("No space left on device", "Disk quota exceeded")


@dataclass(frozen=True)
class FieldViolation:
    """A field that is wrong, and the cure.

    Attributes:
        field: Path of the field in the request, for example `training_run.spec.epochs`.
        description: What is wrong and what to do instead.
    """

    field: str
    description: str


class AimassError(Exception):
    """Root of all errors with a public message.

    Attributes:
        code: Number of the status code (`google.rpc.Code`).
        reason: Upper-case word for programs, for example `UNKNOWN_COLUMN`.
        message: One sentence for the caller: what is wrong and the cure. No secrets.
        violations: The fields that are wrong.
        help_command: A command that shows more or mends it; empty for none.
        private: Detail for the log only.
    """

    code: int = code_pb2.INTERNAL
    reason: str = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        violations: Sequence[FieldViolation] = (),
        help_command: str = "",
        private: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.reason
        self.violations = tuple(violations)
        self.help_command = help_command
        self.private = private


class InvalidInputError(AimassError):
    """The request or its data is wrong, whatever the state of the system."""

    code = code_pb2.INVALID_ARGUMENT
    reason = "INVALID_INPUT"

    @classmethod
    def of(cls, violations: Sequence[FieldViolation]) -> "InvalidInputError":
        """Returns the error of fields that are wrong; its message tells the first of them."""
        first = violations[0]
        text = f"{first.field}: {first.description}"
        return InvalidInputError(text, reason="INVALID_FIELD", violations=violations)


class InvalidFieldError(InvalidInputError):
    """One field is wrong."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, description: str, *, reason: str = "") -> None:
        violation = FieldViolation(field, description)
        super().__init__(f"{field}: {description}", reason=reason, violations=[violation])


class NotFoundError(AimassError):
    """A resource does not exist."""

    code = code_pb2.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExistsError(AimassError):
    """A resource exists, or a request id was used for something else."""

    code = code_pb2.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class FailedPreconditionError(AimassError):
    """The system is not in the state that the call needs."""

    code = code_pb2.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class ConflictError(AimassError):
    """Somebody else changed the resource meanwhile; read it and try again."""

    code = code_pb2.ABORTED
    reason = "CONFLICT"


class FencedError(AimassError):
    """A newer attempt has taken the run over; this one may publish nothing."""

    code = code_pb2.ABORTED
    reason = "FENCED"


class OutOfRangeError(AimassError):
    """A position lies outside what exists."""

    code = code_pb2.OUT_OF_RANGE
    reason = "OUT_OF_RANGE"


class UnauthenticatedError(AimassError):
    """The caller's token is missing or unknown."""

    code = code_pb2.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDeniedError(AimassError):
    """The caller's role does not allow the call."""

    code = code_pb2.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class ResourceExhaustedError(AimassError):
    """A limit is reached."""

    code = code_pb2.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"


class DiskFullError(ResourceExhaustedError):
    """A disk of a service's, a run's or the caller's host has no room left."""

    reason = "DISK_FULL"


class UnavailableError(AimassError):
    """Something this call needs cannot be reached now; trying again helps."""

    code = code_pb2.UNAVAILABLE
    reason = "UNAVAILABLE"


class StoreFullError(UnavailableError):
    """The object store has no room left: trying again helps once somebody has made room.

    What waits for the store waits here too; a caller is told at once what is wrong.
    """

    code = code_pb2.RESOURCE_EXHAUSTED
    reason = "STORE_FULL"


class DataLossError(AimassError):
    """Stored bytes do not match their digest."""

    code = code_pb2.DATA_LOSS
    reason = "DATA_LOSS"


def to_status(error: BaseException) -> status_pb2.Status:
    """Turns an error into the status that callers see.

    Args:
        error: Any exception. What is not an `AimassError` becomes INTERNAL without its text, or
            RESOURCE_EXHAUSTED where a disk is full.

    Returns:
        The status with `ErrorInfo`, and `BadRequest` and `Help` where there is something to say.
    """
    if not isinstance(error, AimassError):
        error = _public(error)
    details: list[any_pb2.Any] = []
    for message in _details(error):
        packed = any_pb2.Any()
        packed.Pack(message)
        details.append(packed)
    return status_pb2.Status(code=error.code, message=error.message, details=details)


def from_status(status: status_pb2.Status) -> AimassError:
    """Turns the status that `to_status` made in another process back into an error."""
    info, bad, help_ = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.Help(),
    )
    for detail in status.details:
        for message in (info, bad, help_):
            detail.Unpack(message)
    error = AimassError(
        status.message,
        reason=info.reason,
        violations=[FieldViolation(each.field, each.description) for each in bad.field_violations],
        help_command=help_.links[0].description if help_.links else "",
    )
    error.code = status.code
    return error


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that a disk has no room left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        # Libraries in C++ carry the system's words in errors of their own.
        if any(words in str(error) for words in _FULL_DISK_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _public(error: BaseException) -> AimassError:
    if is_full_disk(error):
        host = socket.gethostname()
        return DiskFullError(f"A disk of {host} is full; make room there, then try again.")
    return AimassError("Internal error; the service's log has the details.")


def _details(
    error: AimassError,
) -> list[error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.Help]:
    details: list[
        error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.Help
    ] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        details.append(bad)
    if error.help_command:
        help_ = error_details_pb2.Help()
        help_.links.add(description=error.help_command, url="")
        details.append(help_)
    return details
