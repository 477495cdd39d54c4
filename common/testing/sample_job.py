"""A run's process for tests: `python -m common.testing.sample_job`.

The run's labels say what it does:

| Label | Meaning |
| --- | --- |
| `steps` | Number of steps; each emits a metric and progress. Default: 3 |
| `pause` | Seconds between steps. Default: 0 |
| `die` | Attempts up to this number kill themselves after their first step |
| `fail` | Fails with this reason; `bug` stands for an unknown exception |
| `fork` | Starts a sleeping child, and one that is forked twice in a session of its own |
| `stubborn` | Does not listen to a cancel request |
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

from aimass.trainer.v1 import trainer_pb2
from common.errors import InvalidInputError
from common.runs.job import run_job
from common.runs.kind import RunKind
from common.runs.owner import RunOwner

KIND = RunKind("trainingRuns", trainer_pb2.TrainingRun, "train")
Owner = RunOwner[trainer_pb2.TrainingRun]

_SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
_FORK_TWICE = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"


def work(owner: Owner) -> None:
    """Does what the labels say."""
    labels = owner.run.labels
    if "fork" in labels:
        subprocess.Popen(_SLEEP)
        subprocess.run([sys.executable, "-c", _FORK_TWICE, *_SLEEP], check=True)
    steps = int(labels.get("steps", "3"))
    for step in range(1, steps + 1):
        owner.metrics({"step": step}, step=step)
        owner.progress(step / steps, "working")
        _misbehave(owner, labels)
        _pause(owner, float(labels.get("pause", "0")))
    owner.succeed(lambda run: run.metrics.update({"steps": steps}))


def _misbehave(owner: Owner, labels: Mapping[str, str]) -> None:
    if owner.attempt <= int(labels.get("die", "0")):
        os.kill(os.getpid(), signal.SIGKILL)
    reason = labels.get("fail", "")
    if reason == "bug":
        raise ZeroDivisionError("a secret")
    if reason:
        raise InvalidInputError("The data is no good.", reason=reason)


def _pause(owner: Owner, seconds: float) -> None:
    if "stubborn" in owner.run.labels:
        time.sleep(seconds)
    elif owner.cancelled.wait(seconds):
        owner.check_cancelled()


if __name__ == "__main__":
    raise SystemExit(run_job(KIND, work))
