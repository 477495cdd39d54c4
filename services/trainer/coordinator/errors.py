"""Why a training run ends without a model."""

from collections.abc import Sequence

from google.rpc import code_pb2

from common.errors import AimassError, FailedPreconditionError


class NotEnoughWorkersError(FailedPreconditionError):
    """Too few worker slots for too long."""

    reason = "NOT_ENOUGH_WORKERS"

    def __init__(self, found: int, needed: int, waited: float) -> None:
        super().__init__(
            f"The run needs at least {needed} workers; after {waited:.0f} s there were {found}. "
            "Start more agents, or lower spec.workers.min.",
            help_command="aimass agents list",
        )


class TrainingFailedError(AimassError):
    """Training cannot go on, whatever the workers."""

    code = code_pb2.FAILED_PRECONDITION
    reason = "TRAINING_FAILED"


class WorkersFailedError(AimassError):
    """Workers die again and again, and training gets no further."""

    code = code_pb2.ABORTED
    reason = "WORKERS_FAILED"

    def __init__(self, worlds: int, cause: str, lines: Sequence[str]) -> None:
        said = "\n".join(lines) if lines else "(the workers said nothing)"
        super().__init__(
            f"{worlds} times in a row the workers ended before training had come further; "
            f"the last time {cause}. Their last lines:\n{said}"
        )
