"""Horovod worlds of one host, without agents: `python -m tests.support.world PLAN`.

Forks the workers of one world after the other from a process that has imported everything, and
prints what happened as JSON.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from google.protobuf import json_format
from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
from horovod.runner.gloo_run import create_slot_env_vars
from horovod.runner.http.http_server import RendezvousServer

from aimass.trainer.v1 import agents_pb2
from services.trainer.worker.main import main as work
from services.trainer.worker.process import ProgressBoard, WorkerPlace


@dataclass(frozen=True)
class World:
    """One world of a plan.

    Attributes:
        job_key: Key of the job file.
        commit_dir: Directory of the host's commits.
        size: Number of workers.
        kill_at: Kill all workers once each has done this step, where it waits for that; 0 to let
            them finish.
    """

    job_key: str
    commit_dir: str
    size: int = 2
    kill_at: int = 0


@dataclass(frozen=True)
class Ending:
    """How a world ended.

    Attributes:
        exit_codes: By rank; minus the signal's number where one ended it.
        reports: JSON forms of the workers' reports, rank by rank.
    """

    exit_codes: list[int]
    reports: list[list[dict[str, object]]]


class WaitingBoard(ProgressBoard):
    """Keeps a worker from going on after a step: on a busy host it might be done before the kill.

    Args:
        descriptor: See `ProgressBoard`.
        world: The world.
        rank: The worker.
    """

    def __init__(self, descriptor: int, world: World, rank: int) -> None:
        super().__init__(descriptor, world.size, rank)
        self._last = world.kill_at

    def finish_step(self, step: int) -> None:
        """Says that a step is done, and returns unless it is the last one."""
        super().finish_step(step)
        while 0 < self._last <= step:
            time.sleep(0.01)


def run_world(world: World, number: int) -> Ending:
    """Runs one world to its end."""
    slots = get_host_assignments(parse_hosts(f"127.0.0.1:{world.size}"), world.size)
    rendezvous = RendezvousServer()
    port = rendezvous.start()
    rendezvous.init(slots)
    board = ProgressBoard.create(world.size)
    environment = {
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1",
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_GLOO_IFACE": "lo",
    }
    files = [Path(world.commit_dir) / f"reports-{number}-{rank}" for rank in range(world.size)]
    pids = [
        _fork(world, board, {**environment, **create_slot_env_vars(slot)}, files[slot.rank])
        for slot in slots
    ]
    if world.kill_at:
        _kill_at(ProgressBoard(board, world.size), world.kill_at, pids)
    codes = [_wait(pid) for pid in pids]
    rendezvous.stop()
    return Ending(codes, [[json.loads(line) for line in file.open()] for file in files])


def _fork(world: World, board: int, environment: dict[str, str], file: Path) -> int:
    rank = int(environment["HOROVOD_RANK"])
    file.touch()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.environ.update(environment)
        os._exit(work(_context(world, board, rank, file)))
    finally:
        os._exit(1)


def _context(world: World, board: int, rank: int, file: Path) -> WorkerPlace:
    stream = file.open("a", buffering=1)

    def report(message: agents_pb2.WorkerReport) -> None:
        stream.write(json_format.MessageToJson(message, indent=None) + "\n")

    return WorkerPlace(
        job_key=world.job_key,
        checkpoint_key="",
        commit_dir=Path(world.commit_dir),
        report=report,
        progress=WaitingBoard(board, world, rank),
        world=1,
        rank=rank,
        size=world.size,
        local_rank=rank,
        task="train",
        traceparent="",
    )


def _wait(pid: int) -> int:
    """Returns the exit code of a worker."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _has_ended(pid: int) -> bool:
    """Whether a worker has ended; it can still be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_at(board: ProgressBoard, step: int, pids: list[int]) -> None:
    while min(board.read().steps) < step and not any(_has_ended(pid) for pid in pids):
        time.sleep(0.001)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    plan = [World(**entry) for entry in json.loads(sys.argv[1])]
    endings = [run_world(world, number) for number, world in enumerate(plan)]
    print(json.dumps([asdict(ending) for ending in endings]))
