"""Runs a contender on a table in a process of its own, on one core, its time and memory watched."""

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from tests.benchmarks.harness import ROOT
from tests.benchmarks.tuner.table_sets import TableSet

_PATIENCE = 600.0
"""Seconds beyond three times the budget after which a contender is ended."""
_INTERVAL = 0.1
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Outcome:
    """What a contender reached on a table.

    Attributes:
        loss: Of the rows to predict; infinite where it failed.
        seconds: From the start of its process until the predictions were there.
        own_seconds: The same without the start of Python and all imports.
        resident: Most resident memory of its processes together, MB.
        proportional: The same, with memory that several share counted once, MB.
        told: What else it said.
        failure: What went wrong; empty for nothing.
    """

    loss: float
    seconds: float
    own_seconds: float
    resident: float
    proportional: float
    told: dict[str, float] = field(default_factory=dict)
    failure: str = ""


@dataclass
class _Memory:
    """Most memory that was seen, MB."""

    resident: float = 0.0
    proportional: float = 0.0

    def look(self, root: psutil.Process, is_exact: bool) -> None:
        """Looks at a process and all that it started.

        Args:
            root: The process.
            is_exact: Whether to see what is shared too, which takes some time.
        """
        resident = proportional = 0
        for process in _tree(root):
            with suppress(psutil.NoSuchProcess):
                resident += process.memory_info().rss
                proportional += process.memory_full_info().pss if is_exact else 0
        self.resident = max(self.resident, resident / _MEGABYTE)
        self.proportional = max(self.proportional, proportional / _MEGABYTE)


def run(
    command: Sequence[str],
    table: TableSet,
    seed: int,
    seconds: float,
    variables: Mapping[str, str] | None = None,
) -> Outcome:
    """Runs a contender.

    Args:
        command: That starts it, without the path of the task.
        table: What it learns.
        seed: Of the split and of its own chance.
        seconds: The budget.
        variables: Of its environment, beside this process's.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        truth = table.lay_out(folder, seed)
        task = folder / "task.json"
        started = time.monotonic()
        asked = {"kind": table.kind, "seconds": seconds, "seed": seed, "started": started}
        task.write_text(json.dumps({**asked, "folder": name, "name": table.name}))
        pinned = ["taskset", "--cpu-list", str(core()), *command, str(task)]
        memory = _Memory()
        failure = _run_watched(pinned, folder / "log", memory, 3 * seconds + _PATIENCE, variables)
        peaks = (memory.resident, memory.proportional)
        if failure:
            took = time.monotonic() - started
            return Outcome(math.inf, took, took, *peaks, failure=failure)
        told = json.loads((folder / "answer.json").read_text())
        ready = told.pop("ready")
        times = (ready - started, ready - told.pop("begun"))
        loss = table.loss(truth, np.load(folder / "outputs.npy"))
        return Outcome(loss, *times, *peaks, told)


def core() -> int:
    """Returns the core that contenders run on: the first one that this process may use."""
    return min(os.sched_getaffinity(0))


def _run_watched(
    command: Sequence[str],
    log: Path,
    memory: _Memory,
    limit: float,
    variables: Mapping[str, str] | None,
) -> str:
    """Runs a command to its end, and returns what went wrong."""
    with log.open("wb") as file:
        # A session of its own, so that nothing it leaves behind goes on.
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | (variables or {}),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        is_ended = _watch(process, memory, limit)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not is_ended:
        return f"not done after {limit:.0f} s"
    if process.returncode == 0:
        return ""
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"ended with {process.returncode}: {lines[-1] if lines else ''}"[:300]


def _watch(process: "subprocess.Popen[bytes]", memory: _Memory, limit: float) -> bool:
    """Returns whether a process ended by itself in so many seconds."""
    root = psutil.Process(process.pid)
    for look in range(round(limit / _INTERVAL)):
        if process.poll() is not None:
            return True
        memory.look(root, is_exact=look % 10 == 5)
        time.sleep(_INTERVAL)
    return False


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
