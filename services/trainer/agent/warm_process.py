"""The process that forks workers: everything a worker needs is imported here, once.

It runs on a single thread, without grpc and without touching an accelerator, so that its children
are sound. It takes orders from the agent over a socket and dies with it; its workers die with it.
"""

import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import cast

from services.trainer.agent import messages
from services.trainer.worker.process import (
    Descriptors,
    WorkerMain,
    WorkerOrder,
    die_with_parent,
    run_worker,
)


@dataclass(frozen=True)
class _Child:
    world: int
    rank: int
    pid: int


class Foundry:
    """Forks workers and reaps them."""

    def __init__(self, link: socket.socket, worker: WorkerMain) -> None:
        """Wraps the socket to the agent.

        Args:
            link: Packets in both directions.
            worker: What runs in a forked child.
        """
        self._link = link
        self._worker = worker
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, _Child] = {}

    def serve(self) -> None:
        """Obeys until the agent is gone."""
        self._selector.register(self._link, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._link:
                    self._reap(key.fd)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        received = messages.receive(self._link)
        if received is None:
            return False
        message, descriptors = received
        if isinstance(message, messages.KillWorlds):
            self._kill(message.world)
        elif isinstance(message, WorkerOrder) and descriptors is not None:
            self._fork(message, descriptors)
        return True

    def _fork(self, order: WorkerOrder, descriptors: Descriptors) -> None:
        parent = os.getpid()
        inherited = [self._link.fileno(), self._selector.fileno(), *self._children]
        pid = os.fork()
        if pid == 0:
            run_worker(order, descriptors, parent, inherited, self._worker)
        for descriptor in (descriptors.report, descriptors.output, descriptors.board):
            os.close(descriptor)
        watched = os.pidfd_open(pid)
        self._children[watched] = _Child(order.world, order.rank, pid)
        self._selector.register(watched, selectors.EVENT_READ)
        messages.send(self._link, messages.Forked(order.world, order.rank, pid))

    def _kill(self, world: int) -> None:
        for child in self._children.values():
            if child.world <= world:
                os.kill(child.pid, signal.SIGKILL)

    def _reap(self, watched: int) -> None:
        child = self._children.pop(watched)
        self._selector.unregister(watched)
        os.close(watched)
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        messages.send(self._link, messages.Exited(child.world, child.rank, code))


def load_worker(module_name: str) -> WorkerMain:
    """Imports all that workers need and returns their main function.

    Args:
        module_name: Module with `main(context) -> int` and, optionally, `warm_up()`, which is
            called once before the first fork.

    Raises:
        RuntimeError: grpc was imported on the way; its threads do not survive a fork.
    """
    import horovod.torch  # noqa: F401, PLC0415 - heavy, and not needed by those who import us
    import torch  # noqa: PLC0415

    from services.trainer.warming import warm_up_libraries  # noqa: PLC0415

    warm_up_libraries()
    # The first optimizer pulls in torch._dynamo, which takes more than a second.
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    module = importlib.import_module(module_name)
    warm_up = getattr(module, "warm_up", None)
    if warm_up is not None:
        warm_up()
    if "grpc" in sys.modules:
        raise RuntimeError(f"{module_name} imports grpc, which cannot be forked")
    return cast(WorkerMain, module.main)


def main() -> None:
    """Entry point: descriptor of the socket, process id of the agent, module of the worker."""
    started = time.monotonic()
    descriptor, parent, module_name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    die_with_parent(parent)
    # A Ctrl-C in the agent's terminal is the agent's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = socket.socket(fileno=descriptor)
    worker = load_worker(module_name)
    gc.collect()
    gc.freeze()  # children share these pages as long as the collector does not write to them
    messages.send(link, messages.Ready(time.monotonic() - started))
    Foundry(link, worker).serve()


if __name__ == "__main__":
    main()
