"""Loads a model from elsewhere in a process of its own, with limits and without any secret.

`python -m services.catalog.inspection FOLDER` is that process. In the folder lie `order.json`,
`model` and perhaps `rows.npz`; it leaves `answer.json` and `samples.safetensors`.
"""

import json
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from google.protobuf import json_format

from aimass.catalog.v1 import model_pb2
from common.errors import FailedPreconditionError, InvalidFieldError
from common.runs.hosts import JOB_VARIABLE, RUN_VARIABLE
from services.catalog.domain.model_spec import UPLOAD, ModelFormat, ModelImportSpec

_log = logging.getLogger(__name__)

MODEL, ROWS, SAMPLES = "model", "rows.npz", "samples.safetensors"
_ORDER, _ANSWER, _ERRORS = "order.json", "answer.json", "errors.txt"
_LOOK_SECONDS = 0.1
_CORES = "2"
_KEPT = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TMPDIR", JOB_VARIABLE, RUN_VARIABLE)


@dataclass(frozen=True)
class Limits:
    """What the process may use.

    Attributes:
        memory_bytes: Address space.
        seconds: Time on the clock, and as much of each core.
    """

    memory_bytes: int
    seconds: int


@dataclass(frozen=True)
class Answer:
    """What the process found. See `Inspection`."""

    signature: model_pb2.Signature
    task: str
    metrics: dict[str, float]
    parameter_count: int
    samples: Path


def inspect_in_process(
    folder: Path,
    kind: ModelFormat,
    spec: ModelImportSpec,
    limits: Limits,
    beat: Callable[[], None],
) -> Answer:
    """Has the file `model` in a folder looked into.

    Args:
        folder: With the file, and `rows.npz` where there are sample rows.
        kind: Kind of the file.
        spec: The import.
        limits: What the process may use.
        beat: Called now and then; what it raises ends the process.

    Raises:
        InvalidFieldError: What is wrong with the file.
        FailedPreconditionError: It needs more than the limits.
    """
    order = {"kind": kind.value, "task": spec.task, "classes": spec.classes, **asdict(limits)}
    (folder / _ORDER).write_text(json.dumps(order))
    code = _run(folder, limits, beat)
    answer = folder / _ANSWER
    if code != 0 or not answer.is_file():
        _log.error("the inspection ended with %d: %s", code, _last_words(folder))
        raise FailedPreconditionError(
            f"Loading the model ended its process; it may take {limits.memory_bytes / 2**30:.3g} "
            "GiB of memory. Import a smaller model, or raise AIMASS_MODEL_IMPORT_MEMORY_BYTES.",
            reason="MODEL_NEEDS_TOO_MUCH",
        )
    found = json.loads(answer.read_text())
    if "error" in found:
        raise InvalidFieldError(**found["error"])
    signature = json_format.ParseDict(found["signature"], model_pb2.Signature())
    return Answer(
        signature, found["task"], found["metrics"], found["parameter_count"], folder / SAMPLES
    )


def _run(folder: Path, limits: Limits, beat: Callable[[], None]) -> int:
    environment = {key: os.environ[key] for key in _KEPT if key in os.environ}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), _CORES)
    command = [sys.executable, "-m", "services.catalog.inspection", str(folder)]
    deadline = time.monotonic() + limits.seconds
    with (
        (folder / _ERRORS).open("wb") as errors,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
        ) as process,
    ):
        try:
            while True:
                try:
                    return process.wait(_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    beat()
                if time.monotonic() > deadline:
                    raise FailedPreconditionError(
                        f"Loading and trying the model took more than {limits.seconds} s. Import "
                        "a smaller model, or raise AIMASS_MODEL_IMPORT_SECONDS.",
                        reason="MODEL_NEEDS_TOO_MUCH",
                    )
        finally:
            process.kill()


def _last_words(folder: Path) -> str:
    return (folder / _ERRORS).read_text(errors="replace")[-2000:]


def _work(folder: Path) -> None:
    """Does the work, in the process."""
    order = json.loads((folder / _ORDER).read_text())
    seconds = order["seconds"] * int(_CORES)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (order["memory_bytes"], order["memory_bytes"]))
    # Here, under the limits: these import onnxruntime and scikit-learn.
    from common.data.schema import Task  # noqa: PLC0415
    from common.models.sample_rows import SampleRows  # noqa: PLC0415
    from common.models.vectors import encode  # noqa: PLC0415
    from services.catalog.domain.model_inspection import inspect_model  # noqa: PLC0415

    rows = folder / ROWS
    found = inspect_model(
        (folder / MODEL).read_bytes(),
        ModelFormat(order["kind"]),
        Task(order["task"]) if order["task"] else None,
        order["classes"],
        SampleRows.load(rows) if rows.is_file() else None,
    )
    (folder / SAMPLES).write_bytes(encode(found.vectors))
    answer = {
        "signature": json_format.MessageToDict(found.signature),
        "task": found.task,
        "metrics": found.metrics,
        "parameter_count": found.parameter_count,
    }
    (folder / _ANSWER).write_text(json.dumps(answer))


def main() -> int:
    """Looks into the file of a folder; returns the exit code of the process."""
    folder = Path(sys.argv[1])
    try:
        _work(folder)
    except InvalidFieldError as error:
        violation = error.violations[0]
        _tell(folder, violation.field or UPLOAD, violation.description, error.reason)
    except (MemoryError, ImportError, OSError):  # of the limit: what is imported is mapped late
        raise
    except Exception as error:  # What a model from elsewhere raises has no common root.
        problem = f"{type(error).__name__}: {error}".partition("\n")[0][:300]
        _tell(folder, UPLOAD, f"cannot be tried: {problem}", "BAD_MODEL")
    return 0


def _tell(folder: Path, field: str, description: str, reason: str) -> None:
    problem = {"field": field, "description": description, "reason": reason}
    (folder / _ANSWER).write_text(json.dumps({"error": problem}))


if __name__ == "__main__":
    sys.exit(main())
