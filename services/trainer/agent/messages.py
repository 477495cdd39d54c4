"""What the agent and its warm process say to each other over a socket pair.

One JSON object a packet. A fork order carries three file descriptors beside it.
"""

import json
import socket
from dataclasses import asdict, dataclass

from services.trainer.worker.process import Descriptors, WorkerOrder

_MAX_PACKET = 1 << 17
_DESCRIPTORS = 3


@dataclass(frozen=True)
class KillWorlds:
    """Kill the workers of a world and of those before it.

    Attributes:
        world: The newest world to kill.
    """

    world: int


@dataclass(frozen=True)
class Ready:
    """The warm process can fork.

    Attributes:
        seconds: How long its imports took.
    """

    seconds: float


@dataclass(frozen=True)
class Forked:
    """A worker runs.

    Attributes:
        world: Its world.
        rank: Its rank.
        pid: Its process id.
    """

    world: int
    rank: int
    pid: int


@dataclass(frozen=True)
class Exited:
    """A worker ended and was reaped.

    Attributes:
        world: Its world.
        rank: Its rank.
        code: Exit code; minus the signal's number where a signal ended it.
    """

    world: int
    rank: int
    code: int


Message = WorkerOrder | KillWorlds | Ready | Forked | Exited
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (WorkerOrder, KillWorlds, Ready, Forked, Exited)
}


def send(link: socket.socket, message: Message, descriptors: Descriptors | None = None) -> None:
    """Sends a message. Raises `OSError` where the other side is gone or too far behind."""
    packet = json.dumps({"kind": type(message).__name__, **asdict(message)}).encode()
    if descriptors is None:
        link.send(packet)
    else:
        passed = [descriptors.report, descriptors.output, descriptors.board]
        socket.send_fds(link, [packet], passed)


def receive(link: socket.socket) -> tuple[Message, Descriptors | None] | None:
    """Returns the next message with the descriptors it carries; None where the other side ended.

    Raises:
        BlockingIOError: Nothing is there and the socket does not block.
    """
    packet, passed, _, _ = socket.recv_fds(link, _MAX_PACKET, _DESCRIPTORS)
    if not packet:
        return None
    fields = json.loads(packet)
    message = _KINDS[fields.pop("kind")](**fields)
    return message, Descriptors(*passed) if passed else None
