"""The suite as a contender: runs through the public API, timed by their events."""

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
from google.protobuf import json_format

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, network_pb2
from common.testing.suite import RunningSuite

BATCH_SIZE = 128
LEARNING_RATE = 0.001
ENDLESS_EPOCHS = 100_000
_IDLE_SHARE = 0.05
_IDLE_SECONDS = 0.3
_SETTLE_SECONDS = 10.0
_CANCEL_SECONDS = 60.0


class FollowedRun:
    """A training run and its events as they come.

    Attributes:
        created_at: Wall-clock time just before Create was called, in seconds.
        name: Resource name.
    """

    def __init__(self, suite: RunningSuite, spec: trainer_pb2.TrainingSpec) -> None:
        """Creates the run."""
        self._suite = suite
        self._events: queue.SimpleQueue[event_pb2.Event | None] = queue.SimpleQueue()
        self.created_at = time.time()
        self.name = suite.create_run(spec)
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        for event in self._suite.watch_run(self.name):
            self._events.put(event)
        self._events.put(None)

    def wait_for(
        self, is_wanted: Callable[[event_pb2.Event], bool], timeout: float
    ) -> event_pb2.Event:
        """Returns the next event that is wanted; those before it are passed over.

        Raises:
            TimeoutError: There was none in time.
            RuntimeError: The run ended.
        """
        deadline = time.monotonic() + timeout
        while True:
            event = self._next(deadline)
            if event is None:
                raise RuntimeError(f"{self.name} ended: {self._suite.get_run(self.name).status}")
            if is_wanted(event):
                return event

    def _next(self, deadline: float) -> event_pb2.Event | None:
        try:
            return self._events.get(timeout=max(deadline - time.monotonic(), 0.0))
        except queue.Empty:
            raise TimeoutError(f"nothing of {self.name} in time") from None

    def first_step(self) -> float:
        """Waits for the first finished step. Returns when it was told, in wall-clock seconds."""
        return time_of(self.wait_for(is_step, timeout=180.0))

    def cancel(self) -> None:
        """Ends the run, and waits until its processes are gone."""
        self._suite.training.CancelTrainingRun(trainer_pb2.CancelTrainingRunRequest(name=self.name))
        deadline = time.monotonic() + _CANCEL_SECONDS
        while self._next(deadline) is not None:
            continue


def time_of(event: event_pb2.Event) -> float:
    """Returns when it happened, in wall-clock seconds."""
    return event.time.ToNanoseconds() / 1e9


def is_step(event: event_pb2.Event) -> bool:
    """Whether it tells that steps were finished; the coordinator's first comes with the first."""
    return event.progress.stage == "training" and event.progress.fraction > 0


def is_recovery(event: event_pb2.Event) -> bool:
    """Whether it tells of a new set of workers; it is sent once that set finished a step."""
    return event.membership_change.HasField("recovery_time")


def specification(
    version: str, epochs: int, workers: int = 2, seed: int = 0
) -> trainer_pb2.TrainingSpec:
    """Returns the training of the benchmark: the default `cnn`, Adam."""
    return trainer_pb2.TrainingSpec(
        dataset_version=version,
        model="models/bench-digits",
        network=network_pb2.NetworkSpec(cnn=network_pb2.CnnNetwork()),
        optimizer=trainer_pb2.OptimizerSpec(
            kind=trainer_pb2.OPTIMIZER_KIND_ADAM, learning_rate=LEARNING_RATE
        ),
        epochs=epochs,
        precision=trainer_pb2.PRECISION_FP32,  # as all contenders
        batch_size=BATCH_SIZE,
        seed=seed,
        workers=trainer_pb2.WorkerRange(min=1, wanted=workers),
    )


def resolved_network(suite: RunningSuite, spec: trainer_pb2.TrainingSpec) -> str:
    """Returns the network with every width filled in, as JSON, for the others to build."""
    checked = suite.training.CreateTrainingRun(
        trainer_pb2.CreateTrainingRunRequest(
            training_run=trainer_pb2.TrainingRun(spec=spec), validate_only=True
        )
    )
    return json_format.MessageToJson(checked.spec.network, indent=None)


@contextmanager
def followed(suite: RunningSuite, spec: trainer_pb2.TrainingSpec) -> Iterator[FollowedRun]:
    """Runs a training for the length of a block."""
    run = FollowedRun(suite, spec)
    try:
        yield run
    finally:
        run.cancel()


def strike(suite: RunningSuite, number: signal.Signals, victim: int) -> float:
    """Sends a signal to the worker of one of the two agents.

    Returns:
        Wall-clock time just before, in seconds.
    """
    (worker,) = suite.workers(f"agent-{victim + 1}")
    sent_at = time.time()
    worker.send_signal(number)
    return sent_at


def settle(suite: RunningSuite) -> None:
    """Waits until the suite is idle: what it does after a run must not disturb the next."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    before = _processor_seconds(suite)
    while time.monotonic() < deadline:
        time.sleep(_IDLE_SECONDS)
        after = _processor_seconds(suite)
        used = sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
        if used < _IDLE_SHARE * _IDLE_SECONDS:
            return
        before = after


def _processor_seconds(suite: RunningSuite) -> dict[int, float]:
    seconds = {}
    for process in suite.processes():
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        seconds[process.pid] = times.user + times.system
    return seconds
