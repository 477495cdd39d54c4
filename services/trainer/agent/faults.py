"""What an agent does to itself and its workers when a fault is injected."""

import asyncio
import logging
import os
import signal

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from services.trainer.agent.link import Link
from services.trainer.agent.world import LocalWorld
from services.trainer.worker.process import Disturbance

_log = logging.getLogger(__name__)


def suffer(fault: agents_pb2.Fault, world: LocalWorld | None, link: Link) -> None:
    """Does harm as ordered; a worker that is gone meanwhile is spared.

    Args:
        fault: The fault.
        world: The workers of this host.
        link: The agent's connections.
    """
    _log.warning("a fault is injected: %s", trainer_pb2.FaultKind.Name(fault.kind))
    seconds = fault.duration.ToTimedelta().total_seconds()
    match fault.kind:
        case trainer_pb2.FAULT_KIND_KILL_AGENT:
            os.kill(os.getpid(), signal.SIGKILL)
        case trainer_pb2.FAULT_KIND_CUT_LINK:
            link.cut(seconds)
        case _ if world is not None:
            _strike(fault, world, seconds)


def _strike(fault: agents_pb2.Fault, world: LocalWorld, seconds: float) -> None:
    match fault.kind:
        case trainer_pb2.FAULT_KIND_KILL_WORKER:
            world.signal(fault.rank, signal.SIGKILL)
        case trainer_pb2.FAULT_KIND_FREEZE_WORKER:
            world.signal(fault.rank, signal.SIGSTOP)
        case trainer_pb2.FAULT_KIND_NAN_BATCH:
            world.disturb(fault.rank, Disturbance.NAN)
        case trainer_pb2.FAULT_KIND_SLOW_WORKER:
            world.disturb(fault.rank, Disturbance.SLOW)
            loop = asyncio.get_running_loop()
            loop.call_later(seconds, world.disturb, fault.rank, Disturbance.NONE)
