"""The surroundings of a run's conductor: its server for agents, its place in the pool."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from services.trainer.coordinator.conductor import Conductor
from services.trainer.coordinator.recruiter import Recruiter
from services.trainer.coordinator.servicer import serve_control
from services.trainer.coordinator.settings import CoordinatorSettings

_TOKEN_BYTES = 32
_LEAVE_SECONDS = 1.0
_Result = TypeVar("_Result")


async def conduct(
    run: trainer_pb2.TrainingRun,
    attempt: int,
    settings: CoordinatorSettings,
    conductor: Conductor,
    work: Callable[[], Awaitable[_Result]],
    watch: Callable[[], Coroutine[None, None, None]],
) -> _Result:
    """Works with agents from the pool; whatever happens, all workers are gone at the end.

    Args:
        run: The run; its name, `spec.workers`, `spec.priority` and create time matter.
        attempt: Number of the attempt.
        settings: Where the trainer is, and where to listen.
        conductor: Takes the agents in.
        work: What to do meanwhile.
        watch: Raises when the work has to stop.

    Returns:
        What `work` returns.

    Raises:
        FencedError: The pool knows a newer attempt of the run.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    host = settings.coordinator_host
    server = await serve_control(conductor.members, host, run.name, token)
    request = agents_pb2.RecruitRequest(
        training_run=run.name,
        attempt=attempt,
        coordinator_address=server.address,
        token=token,
        workers=run.spec.workers,
        priority_time_ns=run.status.create_time.ToNanoseconds(),
        priority=run.spec.priority or trainer_pb2.PRIORITY_NORMAL,
    )
    recruiter = Recruiter(settings.trainer_address, settings.token, request, conductor)
    recruiting = asyncio.create_task(recruiter.run())
    try:
        return await _first_of(work(), _outcome_of(recruiting), watch())
    finally:
        # Before its agents are let go: the pool would send them here again.
        recruiter.leave()
        await asyncio.wait([recruiting], timeout=_LEAVE_SECONDS)
        recruiting.cancel()
        await conductor.dismiss()
        await server.stop(0)


async def _outcome_of(task: "asyncio.Task[None]") -> None:
    await asyncio.shield(task)


async def _first_of(work: Awaitable[_Result], *guards: Coroutine[None, None, None]) -> _Result:
    """Returns what the work returns; a guard that ends before it ends the work."""
    task = asyncio.ensure_future(work)
    others = [asyncio.create_task(guard) for guard in guards]
    try:
        await asyncio.wait([task, *others], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            for guard in others:
                if guard.done():
                    guard.result()
        return await task
    finally:
        for pending in (task, *others):
            pending.cancel()
        await asyncio.gather(task, *others, return_exceptions=True)
