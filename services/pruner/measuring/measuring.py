"""Has models measured in a process of its own, one after the other."""

import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

import numpy as np

from common.models.inputs import inputs_of_rows
from common.models.sample_rows import SampleRows
from services.pruner.domain.methods import ModelFormat
from services.pruner.domain.specification import Runtime, Target
from services.pruner.domain.variants import ONNX, SKOPS, Built
from services.pruner.measuring.order import (
    Costs,
    MeasuringOrder,
    read_answer,
    read_error,
    write_model,
    write_order,
)

_log = logging.getLogger(__name__)
_PATIENCE = 120.0
_LOOK_SECONDS = 0.5


class CannotMeasureError(ValueError):
    """A variant cannot be measured: one sentence."""


class Measuring:
    """Measures variants beside the original. To be closed."""

    def __init__(
        self,
        folder: Path,
        target: Target,
        original: Built,
        rows: SampleRows,
        check: Callable[[], None],
    ) -> None:
        """Prepares.

        Args:
            folder: Exists; files go there.
            target: Where the model will run.
            original: The model as it was.
            rows: At least one; a batch is made of them, over and over again.
            check: Called while it is waited; may raise to stop.
        """
        self._folder = folder
        self._target = target
        self._original = original
        self._rows = rows.take(np.arange(target.batch_size) % rows.count)
        self._check = check
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Starts the process, which takes a while, and returns itself."""
        self._running()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self._end()

    def costs(self, built: Built, seconds: float) -> Costs:
        """Returns what a model costs.

        Args:
            built: The model.
            seconds: That measuring may take, about.

        Raises:
            CannotMeasureError: It has no twin, or its process ended.
        """
        if self._role(built) not in built.files:
            raise CannotMeasureError("it has no ONNX twin that agrees")
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            self._write(folder, built, seconds)
            code = self._asked(folder, seconds + _PATIENCE)
            if code == 0:
                return read_answer(folder)
            words = read_error(folder)
        _log.error("measuring ended with %d: %s", code, words)
        told = words.strip().rpartition("\n")[2] or f"its process ended with {code}"
        raise CannotMeasureError(told)

    def _runtime(self, built: Built) -> Runtime:
        """Returns what computes a model: of a network that learned from an estimator ONNX Runtime.

        It has no other, and what is asked is how much sooner the answer is there.
        """
        is_estimator = built.format is ModelFormat.SKOPS
        own = self._target.runtime or Runtime.NATIVE
        return own if is_estimator else Runtime.ONNX_RUNTIME

    def _role(self, built: Built) -> str:
        return ONNX if self._runtime(built) is Runtime.ONNX_RUNTIME else SKOPS

    def _write(self, folder: Path, built: Built, seconds: float) -> None:
        models = [built] if built is self._original else [self._original, built]
        for number, each in enumerate(models):
            role = self._role(each)
            inputs = inputs_of_rows(each.open(role), self._rows)
            write_model(folder, number, each.files[role], inputs)
        runtimes = [str(self._runtime(each)) for each in models]
        write_order(folder, MeasuringOrder(runtimes, self._target.threads, seconds))

    def _asked(self, folder: Path, seconds: float) -> int:
        """Has the process measure what a folder asks for; returns the exit code of that."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(f"{folder}\n")
            process.stdin.flush()
            self._wait(process.stdout, seconds)
            return int(process.stdout.readline())
        except BaseException as error:
            self._end()
            if isinstance(error, OSError | ValueError):
                raise CannotMeasureError("the process that measures ended") from error
            raise

    def _wait(self, answers: IO[str], seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([answers], [], [], _LOOK_SECONDS)[0]:
                return
            self._check()
        raise CannotMeasureError("it takes too long")

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.pruner.measuring"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        return self._process

    def _end(self) -> None:
        """Ends the process and its children, whatever they do."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        process.wait()
