"""Errors of runs."""

from google.rpc import code_pb2

from common.errors import AimassError, FailedPreconditionError


class RunEndedError(FailedPreconditionError):
    """The run has reached a terminal state already."""

    reason = "RUN_ENDED"


class RunNotEndedError(FailedPreconditionError):
    """The run has not reached a terminal state yet."""

    reason = "RUN_NOT_ENDED"


class RunCancelledError(AimassError):
    """Somebody asked for the run to be cancelled. Raise it to stop the work."""

    code = code_pb2.CANCELLED
    reason = "CANCELLED"
