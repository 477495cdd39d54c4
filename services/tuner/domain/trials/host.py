"""The host of trials: holds the problem, has imported everything, forks a process for each trial.

Started as `python -m services.tuner.domain.trials.host REGISTRY` by `TrialHost`, whose end of a
socket is its standard input.
"""

import gc
import os
import pickle
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait

from services.tuner.domain.trials.attempt import Desk, failed
from services.tuner.domain.trials.child import TrialChild, die_with_parent
from services.tuner.domain.trials.messages import (
    Cancel,
    Finished,
    Load,
    Order,
    Ready,
    TrialFiles,
)
from services.tuner.domain.trials.stored_problem import read_problem
from services.tuner.domain.trials.trial import TrialFailure

_WATCH_SECONDS = 0.02


class Host:
    """Runs trials as it is told, until nobody is there to tell."""

    def __init__(self, line: Connection, registry: str) -> None:
        """Imports everything.

        Args:
            line: To the search.
            registry: Name of a module with `FAMILIES`, families by name.
        """
        self._line = line
        self._families = import_module(registry).FAMILIES
        self._desk: Desk | None = None
        self._children: dict[int, TrialChild] = {}

    def run(self) -> None:
        """Works until the search closes the line or dies."""
        try:
            while True:
                self._step()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        finally:
            for child in self._children.values():
                child.kill()

    def _step(self) -> None:
        pidfds = [each.pidfd for each in self._children.values() if each.pidfd >= 0]
        ready = wait([self._line, *pidfds], _WATCH_SECONDS if self._children else None)
        for number, child in list(self._children.items()):
            self._look_after(number, child)
        if self._line in ready:
            self._obey(self._line.recv())

    def _look_after(self, number: int, child: TrialChild) -> None:
        result = child.collect()
        if result is None:
            child.check()
            return
        del self._children[number]
        self._line.send(Finished(number, result))
        if result.failure is None:
            self._import(child.imported)

    def _obey(self, message: object) -> None:
        match message:
            case Load():
                self._load(message)
            case Order():
                self._begin(message)
            case Cancel():
                self._cancel(message.number)

    def _load(self, message: Load) -> None:
        files = TrialFiles(message.folder)
        with files.setup.open("rb") as file:
            setup = pickle.load(file)
        self._desk = Desk(read_problem(message.folder), setup, self._families, files)
        # Objects that no collection looks at stay on pages that are shared with all children.
        gc.collect()
        gc.freeze()
        self._line.send(Ready())

    def _begin(self, order: Order) -> None:
        assert self._desk is not None
        try:
            child = TrialChild(order, self._desk, self._line.close)
        except OSError:
            message = "No process could be started for it."
            result = failed(order.task, TrialFailure.OUT_OF_MEMORY, message)
            self._line.send(Finished(order.number, result))
            return
        self._children[order.number] = child

    def _import(self, names: Sequence[str]) -> None:
        """Imports what a trial had to, which took a good part of its time, for all later ones."""
        for name in names:
            with suppress(Exception):  # some modules cannot be imported by their name
                import_module(name)
        if names:
            gc.freeze()

    def _cancel(self, number: int) -> None:
        child = self._children.pop(number, None)
        if child is None:
            return
        child.kill()
        child.collect(wait=True)
        assert self._desk is not None
        self._desk.files.clear(number)


def serve(line: Connection, parent: int, registry: str) -> None:
    """Hosts trials until nobody is there to tell of any.

    Args:
        line: To the search.
        parent: Id of the process that started this one, and whose end is this one's.
        registry: Name of a module with `FAMILIES`, families by name.
    """
    die_with_parent(parent)
    warnings.simplefilter("ignore")
    Host(line, registry).run()


def main() -> None:
    """Runs the host."""
    line = Connection(os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    serve(line, int(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    main()
