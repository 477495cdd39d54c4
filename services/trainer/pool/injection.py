"""Faults on their way from an admin to a run's coordinator, and its answers back."""

import asyncio
from itertools import count

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.errors import FailedPreconditionError, InvalidFieldError, UnavailableError
from common.names import TrainingRunName
from services.trainer.pool.holding import Holding
from services.trainer.pool.hub import PoolHub

_ANSWER_SECONDS = 5.0
_DEFAULT_SECONDS = 10
_SHORTEST_MS, _LONGEST_MS = 100, 600_000
_OF_WORKERS = frozenset(
    {
        trainer_pb2.FAULT_KIND_KILL_WORKER,
        trainer_pb2.FAULT_KIND_FREEZE_WORKER,
        trainer_pb2.FAULT_KIND_SLOW_WORKER,
        trainer_pb2.FAULT_KIND_NAN_BATCH,
    }
)
_OF_AGENTS = frozenset({trainer_pb2.FAULT_KIND_KILL_AGENT, trainer_pb2.FAULT_KIND_CUT_LINK})
_LASTING = frozenset({trainer_pb2.FAULT_KIND_SLOW_WORKER, trainer_pb2.FAULT_KIND_CUT_LINK})


class Injections:
    """Hands faults to coordinators and waits for their answers. For one event loop."""

    def __init__(self, hub: PoolHub, holding: Holding, is_allowed: bool) -> None:
        """Starts without faults.

        Args:
            hub: Knows the coordinators.
            holding: Says whether this replica holds the pool.
            is_allowed: Whether the operator allows faults.
        """
        self._hub = hub
        self._holding = holding
        self._is_allowed = is_allowed
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[agents_pb2.FaultAnswer]] = {}

    def require_allowed(self) -> None:
        """Raises `FailedPreconditionError` where the operator does not allow faults."""
        if not self._is_allowed:
            raise FailedPreconditionError(
                "Faults are not allowed here; start the trainer with "
                "AIMASS_TRAINER_FAULT_INJECTION=true.",
                reason="FAULT_INJECTION_OFF",
            )

    async def inject(self, request: trainer_pb2.InjectFaultRequest, caller: str) -> str:
        """Has a run's coordinator do harm.

        Args:
            request: What the admin wants.
            caller: Who that is.

        Returns:
            What was done.

        Raises:
            FailedPreconditionError: The run has no such worker or agent now.
            InvalidFieldError: A field is wrong.
            UnavailableError: Another replica holds the pool, or the coordinator does not answer.
        """
        fault = fault_of(request)
        if holder := self._holding.holder():
            raise UnavailableError(f"The pool is held by another replica: {holder}. Ask that one.")
        fault.number, fault.caller = next(self._numbers), caller
        answer = await self._ask(request.name, fault)
        if answer.refused:
            raise FailedPreconditionError(answer.refused)
        return answer.done

    async def _ask(self, run: str, fault: agents_pb2.Fault) -> agents_pb2.FaultAnswer:
        if not self._hub.tell_run(run, agents_pb2.RecruitResponse(fault=fault)):
            raise FailedPreconditionError(f"{run} has no coordinator now: nothing of it runs.")
        answer: asyncio.Future[agents_pb2.FaultAnswer] = asyncio.get_running_loop().create_future()
        self._answers[fault.number] = answer
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            raise UnavailableError(f"The coordinator of {run} does not answer.") from None
        finally:
            del self._answers[fault.number]

    def hear(self, answer: agents_pb2.FaultAnswer) -> None:
        """Takes a coordinator's answer."""
        waiting = self._answers.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)


def fault_of(request: trainer_pb2.InjectFaultRequest) -> agents_pb2.Fault:
    """Returns a request as a fault in which everything is set.

    Raises:
        InvalidFieldError: Naming the field.
    """
    TrainingRunName.from_name(request.name, "name")
    kind = request.kind
    if kind not in trainer_pb2.FaultKind.values() or not kind:
        raise InvalidFieldError(
            "kind",
            f"Is required: what is to be done, for example FAULT_KIND_KILL_WORKER; it is {kind}.",
        )
    if request.HasField("rank") and (kind not in _OF_WORKERS or request.rank < 0):
        raise InvalidFieldError(
            "rank", f"Must be at least 0, and is for faults of workers only; it is {request.rank}."
        )
    if request.agent and kind not in _OF_AGENTS:
        raise InvalidFieldError(
            "agent", "Is for FAULT_KIND_KILL_AGENT and FAULT_KIND_CUT_LINK only; leave it out."
        )
    fault = agents_pb2.Fault(kind=kind, rank=request.rank, agent=request.agent)
    fault.duration.FromSeconds(_DEFAULT_SECONDS)
    if request.HasField("duration"):
        fault.duration.CopyFrom(request.duration)
    milliseconds = fault.duration.ToMilliseconds()
    is_used = kind in _LASTING or not request.HasField("duration")
    if not is_used or not _SHORTEST_MS <= milliseconds <= _LONGEST_MS:
        raise InvalidFieldError(
            "duration",
            "Must be 0.1 s to 600 s, and is for FAULT_KIND_SLOW_WORKER and FAULT_KIND_CUT_LINK "
            f"only; it is {milliseconds / 1000:g} s.",
        )
    return fault
