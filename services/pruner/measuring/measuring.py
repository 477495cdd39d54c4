"""Has models measured in a process of its own, one after the other."""

import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.models.inputs import inputs_of_rows
from common.models.sample_rows import SampleRows
from services.pruner.domain.specification import Runtime, Target
from services.pruner.domain.variants import ONNX, SKOPS, Built
from services.pruner.measuring.order import (
    Costs,
    MeasuringOrder,
    read_answer,
    write_model,
    write_order,
)

_log = logging.getLogger(__name__)
_PATIENCE = 120.0
_LOOK_SECONDS = 0.5


class CannotMeasureError(ValueError):
    """A variant cannot be measured: one sentence."""


class Measuring:
    """Measures variants beside the original."""

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

    def costs(self, built: Built, seconds: float) -> Costs:
        """Returns what a model costs.

        Args:
            built: The model.
            seconds: That measuring may take, about.

        Raises:
            CannotMeasureError: It has no twin, or its process ended.
        """
        if self._role not in built.files:
            raise CannotMeasureError("it has no ONNX twin that agrees")
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            models = [built] if built is self._original else [self._original, built]
            for number, each in enumerate(models):
                inputs = inputs_of_rows(each.open(self._role), self._rows)
                write_model(folder, number, each.files[self._role], inputs)
            runtime = str(self._target.runtime)
            write_order(folder, MeasuringOrder(len(models), runtime, self._target.threads, seconds))
            return self._measured(folder, seconds)

    @property
    def _role(self) -> str:
        return ONNX if self._target.runtime is Runtime.ONNX_RUNTIME else SKOPS

    def _measured(self, folder: Path, seconds: float) -> Costs:
        command = [sys.executable, "-m", "services.pruner.measuring", str(folder)]
        errors = folder / "errors.txt"
        with errors.open("wb") as stream:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
            try:
                self._wait(process, seconds + _PATIENCE)
            finally:
                process.kill()
                process.wait()
        try:
            return read_answer(folder)
        except FileNotFoundError:
            words = errors.read_text(errors="replace")[-2000:]
            _log.error("measuring ended with %d: %s", process.returncode, words)
            last = words.strip().rpartition("\n")[2]
            raise CannotMeasureError(f"its process ended: {last or process.returncode}") from None

    def _wait(self, process: "subprocess.Popen[bytes]", seconds: float) -> None:
        waited = 0.0
        while waited < seconds:
            try:
                process.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                waited += _LOOK_SECONDS
                self._check()
            else:
                return
        raise CannotMeasureError("it takes too long")
