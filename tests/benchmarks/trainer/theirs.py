"""The others as contenders: a command, timed by the lines that its workers write."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from common.local import processes
from tests.benchmarks.baselines.workload import Workload
from tests.benchmarks.harness import ROOT

_POLL_SECONDS = 0.01
_BASELINES = "tests.benchmarks.baselines"
_START_SECONDS = 180.0
_RUN_SECONDS = 180.0
_SETTLED_STEP = 30
NOTHING: Mapping[str, str] = MappingProxyType({})
Line = dict[str, float]


class Contender:
    """A started command.

    Attributes:
        started_at: Wall-clock time just before it was started, in seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        output: Path,
        mark: str,
        settings: Mapping[str, str] = NOTHING,
    ) -> None:
        """Starts the command.

        Args:
            command: Program and arguments.
            log: Where its workers write their lines.
            output: Where its output goes.
            mark: Set in the environment of all its processes, to find them again.
            settings: More of its environment.
        """
        self._log = log
        self._output = output
        self._seen = 0
        environment = {**os.environ, **settings, "AIMASS_SUITE": mark}
        with output.open("wb") as file:
            self.started_at = time.time()
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=file, stderr=file
            )

    def wait_for(self, is_wanted: Callable[[Line], bool], timeout: float = _RUN_SECONDS) -> Line:
        """Returns the next line that is wanted; those before it are passed over.

        Raises:
            TimeoutError: There was none in time.
            RuntimeError: The command ended without one.
        """
        deadline = time.monotonic() + timeout
        while True:
            has_ended = self.process.poll() is not None
            for line in self._new_lines():
                self._seen += 1
                if is_wanted(line):
                    return line
            if has_ended:
                tail = self._output.read_text(errors="replace")[-2_000:]
                raise RuntimeError(f"{self.process.args!r} ended:\n{tail}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing of {self.process.args!r} in time")
            time.sleep(_POLL_SECONDS)

    def _new_lines(self) -> Iterator[Line]:
        if not self._log.exists():
            return
        text = self._log.read_text()
        complete = text[: text.rfind("\n") + 1].splitlines()
        for line in complete[self._seen :]:
            yield json.loads(line)


class Others:
    """Starts the other contenders on a workload."""

    def __init__(self, folder: Path) -> None:
        """Keeps files in a folder."""
        self.folder = folder

    def horovod(self, workload: Workload) -> "contextlib.AbstractContextManager[Contender]":
        """Starts two workers under bare `horovodrun`, as Horovod's documentation shows."""
        return self._started(workload, "horovod_mnist", [*_horovodrun(), "-np", "2"])

    def elastic(self, workload: Workload) -> "contextlib.AbstractContextManager[Contender]":
        """Starts two workers in Horovod's elastic mode, each on a host name of its own.

        Horovod never uses a host again after a failure there: on one host the job would end.
        """
        script = self.folder / "discover.sh"
        script.write_text("#!/bin/sh\necho localhost:1\necho 127.0.0.1:1\n")
        script.chmod(0o755)
        options = ["-np", "2", "--min-np", "1", "--max-np", "2"]
        options += ["--host-discovery-script", str(script)]
        return self._started(workload, "horovod_elastic", [*_horovodrun(), *options])

    def torch(
        self, workload: Workload, threads: int
    ) -> "contextlib.AbstractContextManager[Contender]":
        """Starts one process of plain PyTorch."""
        return self._started(workload, "torch_threads", [], [str(threads)])

    def ddp(
        self, workload: Workload, settings: Mapping[str, str] = NOTHING
    ) -> "contextlib.AbstractContextManager[Contender]":
        """Starts two workers of PyTorch's DistributedDataParallel under `torchrun`.

        Args:
            workload: What to train.
            settings: More of the environment.
        """
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        launcher += ["--nproc-per-node", "2"]
        return self._started(workload, "torch_ddp", launcher, settings=settings, python=())

    @contextlib.contextmanager
    def _started(
        self,
        workload: Workload,
        module: str,
        launcher: Sequence[str],
        arguments: Sequence[str] = (),
        settings: Mapping[str, str] = NOTHING,
        python: Sequence[str] = (sys.executable,),
    ) -> Iterator[Contender]:
        mark = f"bench-{uuid.uuid4().hex[:12]}"
        files = [self.folder / f"{mark}.{ending}" for ending in ("json", "log", "out")]
        description, log, output = files
        workload.write(description)
        program = [*python, "-m", f"{_BASELINES}.{module}"]
        command = [*launcher, *program, str(description), str(log), *arguments]
        contender = Contender(command, log, output, mark, settings)
        try:
            yield contender
        finally:
            processes.end_suite_processes(mark, grace=0.0)
            contender.process.wait()


def _horovodrun() -> list[str]:
    return [sys.executable, str(Path(sys.executable).with_name("horovodrun")), "--gloo"]


def first_step(contender: Contender) -> float:
    """Waits for the first finished step. Returns its wall-clock time in seconds."""
    return contender.wait_for(lambda line: line.get("step") == 1, _START_SECONDS)["time"]


def recovery(contender: Contender, number: signal.Signals, rank: int, limit: float) -> float | None:
    """Sends a signal to a worker of the elastic mode and waits for the next membership's step.

    The worker's host name is not used again, so the next membership is the other worker alone.

    Args:
        contender: Elastic mode.
        number: The signal.
        rank: Of the worker.
        limit: Seconds to wait.

    Returns:
        Seconds from the signal to the step; None where there was none in time, or the job ended.
    """
    line = contender.wait_for(
        lambda line: line["rank"] == rank and line["step"] >= _SETTLED_STEP, _START_SECONDS
    )
    sent_at = time.time()
    os.kill(int(line["pid"]), number)
    try:
        after = contender.wait_for(lambda line: line["size"] == 1, limit)
    except (TimeoutError, RuntimeError):
        return None
    return after["time"] - sent_at
