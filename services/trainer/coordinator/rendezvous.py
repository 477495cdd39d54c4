"""The coordinator's side of the rendezvous process."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from common.errors import UnavailableError
from common.runs.hosts import JOB_VARIABLE, RUN_VARIABLE, SUITE_VARIABLE

_ANSWER_SECONDS = 10.0
_MODULE = "services.trainer.coordinator.rendezvous_process"
# What Python needs to find itself, and the marks by which a run's processes are found.
_SEEN = frozenset(
    {"PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "HOME", "TMPDIR", "LANG", "TZ"}
    | {JOB_VARIABLE, RUN_VARIABLE, SUITE_VARIABLE}
)
_SEEN_PREFIXES = ("PYTHON", "LC_")


@dataclass(frozen=True)
class Host:
    """An agent's part in a world.

    Attributes:
        name: Id of the agent; it need not resolve.
        slots: Workers on it.
        interface: Network interface for Gloo.
    """

    name: str
    slots: int
    interface: str


@dataclass(frozen=True)
class WorldRequest:
    """A world to serve.

    Attributes:
        address: Address to listen on, which workers reach.
        hosts: Its hosts; ranks are given in this order.
    """

    address: str
    hosts: Sequence[Host]

    def encode(self) -> str:
        """Returns one line."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def decode(cls, line: str) -> "WorldRequest":
        """Reads what `encode` wrote."""
        fields = json.loads(line)
        return cls(fields["address"], [Host(**host) for host in fields["hosts"]])


class Rendezvous:
    """Serves Horovod's rendezvous in a process of its own; starts another where it died."""

    def __init__(self, address: str) -> None:
        """Starts the process; it is of use when its imports are done.

        Args:
            address: Address to listen on, which workers reach.
        """
        self._address = address
        self._process = _start()

    async def open_world(self, hosts: Sequence[Host]) -> list[dict[str, str]]:
        """Serves a new world and closes the one before it.

        Args:
            hosts: Its hosts; ranks are given in this order.

        Returns:
            Horovod's environment of each worker, by rank.

        Raises:
            UnavailableError: The process died or does not answer; it is started anew.
        """
        request = WorldRequest(self._address, hosts)
        try:
            line = await asyncio.wait_for(asyncio.to_thread(self._ask, request), _ANSWER_SECONDS)
            return [dict(environment) for environment in json.loads(line)]
        except (TimeoutError, OSError, ValueError) as error:
            self._process.kill()
            self._process.wait()
            self._process = _start()
            raise UnavailableError("The rendezvous process died.") from error

    def _ask(self, request: WorldRequest) -> str:
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("the rendezvous process has no pipes")
        self._process.stdin.write(request.encode())
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def _start() -> "subprocess.Popen[str]":
    # It ends with its input, so also when this process dies. It unpickles what workers send, so it
    # sees no more than it needs.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _SEEN or name.startswith(_SEEN_PREFIXES)
    }
    return subprocess.Popen(
        [sys.executable, "-m", _MODULE],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
