"""What another model says of rows, asked in a process of its own: a crafted file can end that.

`python -m services.tuner.champion.prediction FOLDER` is the process. In the folder lie
`order.json`, `version.binpb`, `model`, `vectors` and `rows.npz`; it leaves `answer.json` and
`outputs.npy`.
"""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from aimass.catalog.v1 import model_pb2
from common.artifacts import ObjectStore
from common.errors import AimassError, FailedPreconditionError
from common.models.sample_rows import SampleRows
from common.models.store import TEST_VECTORS, read_part
from services.tuner.domain.problem import Outputs

_log = logging.getLogger(__name__)

_VERSION, _MODEL, _VECTORS, _ROWS = "version.binpb", "model", "vectors", "rows.npz"
_ORDER, _ANSWER, _OUTPUTS, _ERRORS = "order.json", "answer.json", "outputs.npy", "errors.txt"
_LOOK_SECONDS = 0.05
_LONGEST = 300


@dataclass(frozen=True)
class Order:
    """What is asked.

    Attributes:
        outputs: Classes or labels in the order that is wanted; of a regression its target.
        kind: Kind of the problem.
        are_decisions: Whether the metric looks at decisions: then the model's own count.
        memory_bytes: What the process may hold.
        seconds: How long it may take.
    """

    outputs: tuple[str, ...]
    kind: str
    are_decisions: bool
    memory_bytes: int
    seconds: float


@dataclass(frozen=True)
class Predicted:
    """What the model says.

    Attributes:
        outputs: As `Metric.loss` takes them.
        are_probabilities: Whether they are; else a class that was named has 1.
    """

    outputs: Outputs
    are_probabilities: bool


def predicted(
    version: model_pb2.ModelVersion,
    rows: SampleRows,
    order: Order,
    store: ObjectStore,
    folder: Path,
    check: Callable[[], None],
) -> Predicted:
    """Has rows predicted.

    Args:
        version: The model: skops, ONNX, or a package with its ONNX twin.
        rows: As models take them.
        order: What is asked.
        store: Where the files of the model are.
        folder: Exists, and is empty.
        check: Called now and then; what it raises ends the process.

    Raises:
        FailedPreconditionError: The model cannot predict the rows; says why.
    """
    role = "skops" if version.format == model_pb2.MODEL_FORMAT_SKOPS else "onnx"
    (folder / _VERSION).write_bytes(version.SerializeToString())
    (folder / _MODEL).write_bytes(read_part(version, role, store))
    (folder / _VECTORS).write_bytes(read_part(version, TEST_VECTORS, store))
    (folder / _ORDER).write_text(json.dumps(asdict(order)))
    rows.save(folder / _ROWS)
    code = _run(folder, version.name, order.seconds, check)
    answer = folder / _ANSWER
    if code != 0 or not answer.is_file():
        words = (folder / _ERRORS).read_text(errors="replace")[-2000:]
        _log.error("the process of %s ended with %d: %s", version.name, code, words)
        raise cannot_predict(version.name, "its process ended; give trials more memory")
    found = json.loads(answer.read_text())
    if "error" in found:
        raise cannot_predict(version.name, found["error"])
    return Predicted(np.load(folder / _OUTPUTS), found["are_probabilities"])


def cannot_predict(name: str, reason: str) -> FailedPreconditionError:
    """Returns the error of a champion that nothing can be compared with."""
    return FailedPreconditionError(
        f"The champion {name} cannot predict the test rows: {reason.rstrip('.')}. Name another "
        "one, or none.",
        reason="CHAMPION_CANNOT_PREDICT",
    )


def _run(folder: Path, name: str, seconds: float, check: Callable[[], None]) -> int:
    command = [sys.executable, "-m", __name__, str(folder)]
    deadline = time.monotonic() + seconds
    with (
        (folder / _ERRORS).open("wb") as errors,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
        ) as process,
    ):
        try:
            while True:
                try:
                    return process.wait(_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    check()
                if time.monotonic() > deadline:
                    raise cannot_predict(
                        name, f"it takes more than {seconds:.0f} s; give the search more time"
                    )
        finally:
            process.kill()


def _work(folder: Path) -> None:
    """Does the work, in the process."""
    # Here, so that the job itself imports none of them.
    from services.tuner.champion.answering import outputs_of  # noqa: PLC0415
    from services.tuner.domain.trials.memory import refuse_beyond  # noqa: PLC0415

    plain = json.loads((folder / _ORDER).read_text())
    order = Order(**{**plain, "outputs": tuple(plain["outputs"])})
    refuse_beyond(order.memory_bytes)
    version = model_pb2.ModelVersion.FromString((folder / _VERSION).read_bytes())
    content, vectors = ((folder / each).read_bytes() for each in (_MODEL, _VECTORS))
    rows = SampleRows.load(folder / _ROWS)
    outputs, are_probabilities = outputs_of(version, content, vectors, rows, order)
    np.save(folder / _OUTPUTS, outputs)
    (folder / _ANSWER).write_text(json.dumps({"are_probabilities": are_probabilities}))


def main() -> int:
    """Predicts the rows of a folder; returns the exit code of the process."""
    folder = Path(sys.argv[1])
    try:
        _work(folder)
    except MemoryError:
        _tell(folder, "there is not enough memory; give trials more")
    except AimassError as error:
        _tell(folder, error.message)
    except Exception as error:  # What a model from elsewhere raises has no common root.
        logging.exception("the rows cannot be predicted")
        _tell(folder, str(error).strip().partition("\n")[0] or type(error).__name__)
    return 0


def _tell(folder: Path, problem: str) -> None:
    (folder / _ANSWER).write_text(json.dumps({"error": problem[:_LONGEST]}))


if __name__ == "__main__":
    sys.exit(main())
