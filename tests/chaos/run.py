"""Does random faults to one run of a whole suite; it has to end as if it had been left in peace.

`python -m tests.chaos.run [faults] [seed]` prints what the faults cost and ends with 0 where
nothing was lost: all epochs are there once, and the weights are those of an undisturbed run.
"""

import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import grpc
import numpy as np
import psutil
import safetensors.numpy

from aimass.catalog.v1 import model_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import event_pb2, network_pb2, run_pb2
from common.models.store import read_part
from common.testing.suite import RunningSuite, running_suite

# Each kind as often as it comes in a hundred.
_KINDS = {
    "KILL_WORKER": 28,
    "FREEZE_WORKER": 22,
    "SLOW_WORKER": 4,
    "KILL_AGENT": 8,
    "CUT_LINK": 8,
    "KILL_COORDINATOR": 12,
    "trainer killed": 8,
    "catalog killed": 4,
    "store killed": 3,
    "store away": 3,
}
# An epoch takes about 0.2 s.
_EPOCHS_PER_FAULT = 5
_FIRST_EPOCH = 5
_LAST_EPOCHS = 30
_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.05
SETTINGS = {
    "AIMASS_TRAINER_FAULT_INJECTION": "true",
    # A coordinator that is killed with its trainer is succeeded when its lease is over.
    "AIMASS_LEASE_TTL_SECONDS": "10",
}


@dataclass
class Follower:
    """A thread that reads a run's events.

    Attributes:
        events: All so far.
        epoch: The newest that was reported.
    """

    suite: RunningSuite
    run: str
    events: list[event_pb2.Event] = field(default_factory=list)
    epoch: int = 0

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for event in self.suite.watch_run(self.run):
            self.events.append(event)
            self.epoch = max(self.epoch, event.metrics.epoch)

    def until_epoch(self, epoch: int) -> bool:
        """Waits for an epoch. Returns whether the run still goes on."""
        while self.epoch < epoch and self._thread.is_alive():
            time.sleep(_POLL_SECONDS)
        return self._thread.is_alive()

    def finish(self) -> list[event_pb2.Event]:
        """Waits for the run's end and returns its events."""
        self._thread.join()
        return self.events


@dataclass
class Result:
    """What a campaign did, and what came of it.

    Attributes:
        seconds: How long the disturbed run took, and the one left in peace.
        faults: How often each kind was done.
        changes: The changes of membership that faults caused.
        recoveries: The run's own account.
        deviation: Largest difference of a weight from the undisturbed run's.
        problems: What was lost, in words.
    """

    seconds: tuple[float, float] = (0.0, 0.0)
    faults: Counter[str] = field(default_factory=Counter)
    changes: list[event_pb2.MembershipChange] = field(default_factory=list)
    recoveries: trainer_pb2.RecoveryReport = field(default_factory=trainer_pb2.RecoveryReport)
    deviation: float = 0.0
    problems: list[str] = field(default_factory=list)


def specification(version: str, epochs: int) -> trainer_pb2.TrainingSpec:
    """Returns a run on two workers, never on one: so its weights do not depend on the faults."""
    return trainer_pb2.TrainingSpec(
        dataset_version=version,
        model="models/chaos",
        network=network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[64, 64])),
        epochs=epochs,
        batch_size=8,
        workers=trainer_pb2.WorkerRange(min=2, wanted=2),
    )


def campaign(
    suite: RunningSuite,
    count: int,
    seed: int,
    told: Callable[[int, str], None] = lambda number, kind: None,
) -> Result:
    """Does so many faults to a run, at random epochs, and compares it with one left in peace.

    Args:
        suite: A suite in which faults are allowed.
        count: Number of faults.
        seed: Seed of their kinds and moments.
        told: Hears the number and kind of each fault.
    """
    chance, result = random.Random(seed), Result()
    spec = specification(_import(suite), _FIRST_EPOCH + _EPOCHS_PER_FAULT * count + _LAST_EPOCHS)
    began = time.monotonic()
    left_in_peace = suite.train(spec)
    peace = time.monotonic() - began
    follower = Follower(suite, suite.create_run(spec))
    kinds = chance.choices(list(_KINDS), list(_KINDS.values()), k=count)
    moments = sorted(chance.randrange(_FIRST_EPOCH, spec.epochs - _LAST_EPOCHS) for _ in kinds)
    for number, (kind, epoch) in enumerate(zip(kinds, moments, strict=True)):
        if not follower.until_epoch(epoch):
            break
        # Between two kills in one moment and a fault for each recovery lies what happens in life.
        time.sleep(chance.uniform(0.0, 1.2))
        told(number, kind)
        if _strike(suite, follower.run, kind, chance):
            result.faults[kind] += 1
    events = follower.finish()
    result.seconds = time.monotonic() - began - peace, peace
    _judge(suite, suite.get_run(follower.run), left_in_peace, events, result)
    if result.faults.total() < count:
        result.problems.append(f"the run ended after {result.faults.total()} of {count} faults")
    return result


def _import(suite: RunningSuite) -> str:
    values = np.random.default_rng(7).uniform(size=(1_000, 5))
    rows = ["a,b,c,d,e,y", *(",".join(map(str, [*row, row @ row])) for row in values)]
    return suite.import_dataset("chaos-run", "table.csv", "\n".join(rows).encode())


def _strike(suite: RunningSuite, run: str, kind: str, chance: random.Random) -> bool:
    """Does a fault; one of the run itself as soon as there is somebody to hit."""
    if kind == "store away":
        return _take_store_away(suite, chance.uniform(1.0, 4.0))
    if kind.endswith(" killed"):
        with suppress(psutil.NoSuchProcess):
            suite.supervised(kind.partition(" ")[0]).send_signal(signal.SIGKILL)
        return True
    request = trainer_pb2.InjectFaultRequest(
        name=run, kind=trainer_pb2.FaultKind.Value(f"FAULT_KIND_{kind}")
    )
    if kind.endswith("WORKER"):
        request.rank = chance.randrange(2)
    elif kind != "KILL_COORDINATOR":
        request.agent = chance.choice(("agent-1", "agent-2"))
    if kind in ("SLOW_WORKER", "CUT_LINK"):
        request.duration.FromMilliseconds(chance.randrange(500, 4_000))
    return _insist(suite, request)


def _take_store_away(suite: RunningSuite, seconds: float) -> bool:
    with suppress(psutil.NoSuchProcess):
        store = suite.supervised("store")
        store.suspend()
        time.sleep(seconds)
        store.resume()
    return True


def _insist(suite: RunningSuite, request: trainer_pb2.InjectFaultRequest) -> bool:
    """Injects a fault; asks again while the run recovers. Returns whether it was done."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            suite.training.InjectFault(request)
        except grpc.RpcError:
            if suite_run_ended(suite, request.name):
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
    return False


def suite_run_ended(suite: RunningSuite, run: str) -> bool:
    """Whether a run is known to have ended; not while the suite is away."""
    try:
        return suite.get_run(run).status.state in (
            run_pb2.RUN_STATE_SUCCEEDED,
            run_pb2.RUN_STATE_FAILED,
        )
    except grpc.RpcError:
        return False


def _judge(
    suite: RunningSuite,
    run: trainer_pb2.TrainingRun,
    left_in_peace: trainer_pb2.TrainingRun,
    events: Sequence[event_pb2.Event],
    result: Result,
) -> None:
    """Fills in what the faults cost, and what was lost."""
    result.recoveries = run.recoveries
    changes = [event.membership_change for event in events]
    result.changes = [change for change in changes if change.faults]
    if run.status.state != run_pb2.RUN_STATE_SUCCEEDED:
        result.problems.append(f"the run did not succeed: {run.status.error.message}")
        return
    if [event.sequence for event in events] != list(range(1, run.status.last_sequence + 1)):
        result.problems.append("events have gaps")
    ends = [e.metrics.epoch for e in events if "validation/loss" in e.metrics.values]
    if ends != list(range(1, run.spec.epochs + 1)):
        result.problems.append("epochs are missing, or were told twice")
    if run.recoveries.total.count != len(result.changes):
        result.problems.append("the run's account of recoveries is not that of its events")
    ours, theirs = (_weights(suite, each.model_version) for each in (run, left_in_peace))
    result.deviation = max(float(np.abs(ours[name] - theirs[name]).max()) for name in theirs)
    if result.deviation != 0.0:
        result.problems.append(f"weights differ by up to {result.deviation:.3g}")


def _weights(suite: RunningSuite, version: str) -> dict[str, "np.ndarray[tuple[int, ...]]"]:
    model = suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=version))
    return safetensors.numpy.load(read_part(model, "weights", suite.store))


def report(result: Result) -> None:
    """Prints a table of what was done and what it cost."""
    print(", ".join(f"{kind} {count}" for kind, count in result.faults.most_common()))
    print(f"{result.seconds[0]:.0f} s; left in peace {result.seconds[1]:.0f} s")
    print(
        f"{'cause':18} {'count':>5} {'faults':>6} {'recovery':>9} {'worst':>7} {'pause':>7} "
        f"{'worst':>7} {'lost':>5} {'worst':>5}"
    )
    for cause in sorted({change.cause for change in result.changes}):
        found = [change for change in result.changes if change.cause == cause]
        times = [change.recovery_time.ToMilliseconds() / 1e3 for change in found]
        pauses = [change.pause.ToMilliseconds() / 1e3 for change in found]
        lost = [change.steps_lost for change in found]
        name = event_pb2.ChangeCause.Name(cause).removeprefix("CHANGE_CAUSE_").lower()
        print(
            f"{name:18} {len(found):5} {sum(change.faults for change in found):6} "
            f"{median(times):8.2f}s {max(times):6.2f}s {median(pauses):6.2f}s {max(pauses):6.2f}s "
            f"{median(lost):5.0f} {max(lost):5}"
        )
    total = result.recoveries.total
    print(
        f"in all {total.count} recoveries of {total.faults} faults, "
        f"{total.total_time.ToMilliseconds() / 1e3:.1f} s, {total.steps_lost} steps done again; "
        f"largest difference of a weight {result.deviation:.3g}"
    )
    for problem in result.problems:
        print(f"PROBLEM {problem}")


def main() -> int:
    """Runs a campaign on a suite of its own and prints what came of it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with (
        tempfile.TemporaryDirectory(prefix="aimass-chaos-") as folder,
        running_suite(Path(folder), environment=SETTINGS) as suite,
    ):
        result = campaign(suite, count, seed, _tell)
    report(result)
    return int(bool(result.problems))


def _tell(number: int, kind: str) -> None:
    print(f"  fault {number + 1}: {kind}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
