"""Runs without training: real owners of their runs, with lease, events and coordinator.

A process that has imported everything forks one for each run; what the executor starts is a small
program that has a run forked there and waits for its end.
`python -m tests.benchmarks.queue.jobs FOLDER`.
"""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import cast

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2
from common.runs.hosts import JOB_VARIABLE
from common.runs.job import run_job
from common.runs.owner import RunOwner
from services.trainer.coordinator.checkpoints import Checkpoints
from services.trainer.coordinator.conductor import Conductor
from services.trainer.coordinator.journal import Journal
from services.trainer.coordinator.rendezvous import Rendezvous
from services.trainer.coordinator.session import conduct
from services.trainer.coordinator.settings import CoordinatorSettings
from services.trainer.kind import TRAINING_RUNS

_CLIENT = """
import os, socket, sys
run = sys.stdin.readline().strip()
if run:
    line = socket.socket(socket.AF_UNIX)
    line.connect({path!r})
    line.sendall((os.environ[{variable!r}] + " " + run + "\\n").encode())
    sys.exit(int(line.recv(8) or b"1"))
"""
_LOOK_SECONDS = 0.05
Owner = RunOwner[trainer_pb2.TrainingRun]


def client_command(folder: Path) -> list[str]:
    """Returns the program that the executor starts."""
    script = _CLIENT.format(path=str(folder / "jobs"), variable=JOB_VARIABLE)
    return [sys.executable, "-S", "-E", "-c", script]


def serve(folder: Path) -> None:
    """Forks a process for each run that is asked for, for ever."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "jobs"))
        listener.listen(64)
        print("ready", flush=True)
        while True:
            line, _ = listener.accept()
            with line:
                if not os.fork():
                    listener.close()
                    os._exit(_work(line))


def _work(line: socket.socket) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    job, run = line.makefile().readline().split()
    os.environ[JOB_VARIABLE] = job
    code = run_job(TRAINING_RUNS, lambda owner: asyncio.run(_Run(owner).work()), [run])
    line.sendall(str(code).encode())
    return 0


class _Run:
    """One attempt: holds its agents for a while, gives back what the pool wants."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        journal = Journal(owner, 100)
        nobody = cast(Rendezvous, None)  # no world is ever started
        self._conductor = Conductor(nobody, journal, Checkpoints(owner.store))

    async def work(self) -> None:
        await conduct(
            self._owner.run,
            self._owner.attempt,
            CoordinatorSettings(),
            self._conductor,
            self._hold_agents,
            self._watch,
        )
        await asyncio.to_thread(self._owner.succeed, lambda run: None)

    async def _hold_agents(self) -> None:
        """Holds its minimum of agents for as long as its label says, gaps aside."""
        run = self._owner.run
        left = float(run.labels["seconds"])
        members = self._conductor.members
        while left > 0:
            for member in list(members):
                if not member.may_stay():
                    members.let_go(member)
            slots = sum(member.ready_slots for member in members if member.may_stay())
            if slots >= run.spec.workers.min:
                left -= _LOOK_SECONDS
                self._owner.progress(1 - left / float(run.labels["seconds"]), "training")
                values = {"train/loss": left}
                self._owner.emit(event_pb2.Metrics(step=round(left * 100), values=values))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _watch(self) -> None:
        while True:
            self._owner.check_cancelled()
            await asyncio.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
