"""The search's side of its trials: starts them, hears of their end, outlives their host."""

import logging
import math
import pickle
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from common.scoring.metric import Metric
from services.tuner.domain.problem import Problem
from services.tuner.domain.trials.attempt import failed
from services.tuner.domain.trials.child import allowed_seconds
from services.tuner.domain.trials.link import HostLink
from services.tuner.domain.trials.messages import (
    Cancel,
    Finished,
    Order,
    Ready,
    TrialFiles,
    TrialSetup,
)
from services.tuner.domain.trials.stored_problem import write_problem
from services.tuner.domain.trials.trial import Split, TrialFailure, TrialResult, TrialTask

_log = logging.getLogger(__name__)

REGISTRY = "services.tuner.domain.families.registry"
_MOST_FALSE_STARTS = 3
_SILENCE_SECONDS = 5.0

_spare: list[HostLink] = []


def prepare_host() -> None:
    """Starts the host of this process's first search, while no other thread is there yet."""
    _spare.append(HostLink(REGISTRY))


def _host_of(registry: str) -> HostLink:
    return _spare.pop() if _spare and registry == REGISTRY else HostLink(registry)


class TrialHostError(Exception):
    """The process that hosts the trials does not start."""


class TrialHost:
    """Runs trials in processes of their own, each within its bounds.

    What a trial does costs itself alone. All processes end with the search, however that dies: the
    thread that enters must live as long as the search.
    """

    def __init__(
        self,
        problem: Problem,
        splits: Sequence[Split],
        metric: Metric,
        folder: Path,
        *,
        memory_bytes: int,
        concurrency: int = 1,
        seed: int = 0,
        registry: str = REGISTRY,
    ) -> None:
        """Starts nothing yet.

        Args:
            problem: What is to be learned.
            splits: The folds that tasks refer to.
            metric: What says how good a trial is.
            folder: Exists, and holds nothing else; models stay there when the host has ended.
            memory_bytes: What each trial may hold beyond what the host holds.
            concurrency: Most trials at once.
            seed: Of all chance.
            registry: Name of a module with `FAMILIES`, families by name.
        """
        self._problem = problem
        self._setup = TrialSetup(tuple(splits), metric, seed, memory_bytes)
        self._files = TrialFiles(folder)
        self._concurrency = concurrency
        self._registry = registry
        self._running: dict[int, TrialTask] = {}
        self._ends: dict[int, float] = {}
        self._finished: deque[TrialResult] = deque()
        self._next = 0
        self._false_starts = 0
        self._link: HostLink | None = None

    def __enter__(self) -> Self:
        """Starts the host, which imports while the problem is written."""
        self._link = _host_of(self._registry)
        try:
            write_problem(self._problem, self._files.folder)
            with self._files.setup.open("wb") as file:
                pickle.dump(self._setup, file, pickle.HIGHEST_PROTOCOL)
            self._link.load(self._files.folder)
        except BaseException:
            self._link.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the host and all trials."""
        self._living.end()

    @property
    def _living(self) -> HostLink:
        assert self._link is not None, "the host was not entered"
        return self._link

    @property
    def pid(self) -> int:
        """Id of the host's process."""
        return self._living.pid

    @property
    def running(self) -> Mapping[int, TrialTask]:
        """What runs, by number."""
        return MappingProxyType(self._running)

    @property
    def has_room(self) -> bool:
        """Whether another trial may be started."""
        return len(self._running) < self._concurrency

    def start(self, task: TrialTask) -> int:
        """Starts a trial. Its time begins when the host is ready, which it is after some seconds.

        Args:
            task: What is to be fitted.

        Returns:
            Its number.

        Raises:
            ValueError: As many run as may.
            TrialHostError: There is no host to run it.
        """
        if not self.has_room:
            raise ValueError(f"{len(self._running)} trials run already")
        number, self._next = self._next, self._next + 1
        if not self._living.tell(Order(number, task)):
            self._replace_host("has died")
            self._living.tell(Order(number, task))
        self._running[number] = task
        self._ends[number] = time.monotonic() + allowed_seconds(task.seconds)
        return number

    def wait(self, timeout: float) -> TrialResult | None:
        """Returns the result of the next trial that ends, whichever it is.

        Args:
            timeout: So many seconds are waited at most.

        Returns:
            The result; None where none came in time or nothing runs.

        Raises:
            TrialHostError: There is no host any more.
        """
        end = time.monotonic() + timeout
        while not self._finished and self._running:
            self._listen(min(end, self._silent_at))
            if time.monotonic() >= end:
                break
        return self._finished.popleft() if self._finished else None

    def cancel(self, number: int) -> None:
        """Ends a trial; it gives no result."""
        if self._running.pop(number, None) is not None:
            self._living.tell(Cancel(number))

    def _listen(self, until: float) -> None:
        try:
            message = self._living.hear(max(until - time.monotonic(), 0.0))
        except EOFError:
            self._replace_host("has died")
            return
        if message is not None:
            self._take(message)
        elif time.monotonic() >= self._silent_at:
            self._replace_host("hangs")

    def _take(self, message: object) -> None:
        match message:
            case Ready():
                self._false_starts = 0
                now = time.monotonic()
                for number, task in self._running.items():
                    self._ends[number] = now + allowed_seconds(task.seconds)
            case Finished() if self._running.pop(message.number, None) is not None:
                self._finished.append(self._with_outputs(message))
            case Finished():  # it was cancelled meanwhile
                self._files.clear(message.number)

    def _with_outputs(self, message: Finished) -> TrialResult:
        if message.result.failure is not None:
            return message.result
        path = self._files.outputs(message.number)
        outputs = np.load(path)
        path.unlink()
        return replace(message.result, outputs=outputs)

    @property
    def _silent_at(self) -> float:
        """When the host should have told something at the latest."""
        if not self._living.is_ready:
            return self._living.silent_at
        ends = (self._ends[number] for number in self._running)
        return min(ends, default=math.inf) + _SILENCE_SECONDS

    def _replace_host(self, why: str) -> None:
        _log.warning("the host of the trials %s; another one is started", why)
        self._living.end(is_hanging=True)
        for number, task in self._running.items():
            self._files.clear(number)
            message = "The process that runs all trials died."
            self._finished.append(failed(task, TrialFailure.CRASHED, message))
        self._running.clear()
        self._false_starts += 1
        if self._false_starts > _MOST_FALSE_STARTS:
            raise TrialHostError("The process that runs the trials does not start.")
        self._link = HostLink(self._registry)
        self._link.load(self._files.folder)


def load_estimator(result: TrialResult) -> Any:
    """Returns the estimator that a trial fitted."""
    with Path(result.model_path).open("rb") as file:
        return pickle.load(file)


def discard(result: TrialResult) -> None:
    """Removes the estimator that a trial fitted."""
    if result.model_path:
        Path(result.model_path).unlink(missing_ok=True)
