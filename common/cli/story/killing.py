"""A worker of a run is killed in the middle, as it happens to machines."""

import os
import signal

import psutil
from rich.console import Console

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2
from common.cli.connection import Clients
from common.cli.errors import CliError
from common.cli.progress import RunProgress

_AFTER_EPOCH = 5


class WorkerKiller:
    """Kills one worker process once its run is well under way."""

    def __init__(self, clients: Clients, console: Console) -> None:
        self._clients = clients
        self._console = console
        self._killed = 0
        self._changes_before = 0
        self._progress: RunProgress | None = None

    def notice(self, event: event_pb2.Event, progress: RunProgress) -> None:
        """Takes an event of the run."""
        self._progress = progress
        if self._killed or progress.epoch < _AFTER_EPOCH or progress.ended:
            return
        workers = self._workers()
        if not workers:
            return
        victim = workers[-1]
        self._changes_before = len(progress.changes)
        self._killed = victim.pid
        os.kill(victim.pid, signal.SIGKILL)
        self._console.print(f"  [bold red]kill -9 {victim.pid}[/], a worker of the run")

    def check(self) -> None:
        """Says so if there was nothing to show.

        Raises:
            CliError: The run ended before a worker could be killed, or took no notice of it.
        """
        if not self._killed:
            raise CliError("The run ended before one of its workers could be killed.")
        if self._progress is None or len(self._progress.changes) <= self._changes_before:
            raise CliError("The run took no notice of its dead worker.")

    def _workers(self) -> list[psutil.Process]:
        """Returns the worker processes: an agent's warm process forks them."""
        agents = self._clients.training.ListAgents(trainer_pb2.ListAgentsRequest()).agents
        workers: list[psutil.Process] = []
        for agent in agents:
            try:
                for warm in psutil.Process(agent.pid).children():
                    workers += warm.children()
            except psutil.Error:
                continue
        return workers
