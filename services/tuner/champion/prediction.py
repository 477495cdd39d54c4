"""What another model says of rows, asked in a process of its own: a crafted file can end that.

`python -m services.tuner.champion.prediction FOLDER` is the process. In the folder lie
`order.json`, `version.binpb`, `model`, `vectors` and `rows.npz`; it leaves `answer.json` and
`outputs.npy`.
"""

import json
import logging
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from aimass.catalog.v1 import model_pb2
from common.artifacts import ObjectStore
from common.errors import AimassError, FailedPreconditionError
from common.models.sample_rows import SampleRows
from common.models.store import TEST_VECTORS, read_part
from services.tuner.champion.order import Order
from services.tuner.domain.problem import Outputs

_log = logging.getLogger(__name__)

_VERSION, _MODEL, _VECTORS, _ROWS = "version.binpb", "model", "vectors", "rows.npz"
_ORDER, _ANSWER, _OUTPUTS, _ERRORS = "order.json", "answer.json", "outputs.npy", "errors.txt"
_LONGEST = 300


@dataclass(frozen=True)
class Predicted:
    """What the model says.

    Attributes:
        outputs: As `Metric.loss` takes them.
        are_probabilities: Whether they are; else a class that was named has 1.
    """

    outputs: Outputs
    are_probabilities: bool


class Prediction:
    """A process that predicts rows while the search goes on."""

    def __init__(self, name: str, folder: Path) -> None:
        """Starts it.

        Args:
            name: Of the model version, for errors.
            folder: Holds what is asked.
        """
        self._name = name
        self._folder = folder
        command = [sys.executable, "-m", __name__, str(folder)]
        with (folder / _ERRORS).open("wb") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
            )

    def result(self, seconds: float) -> Predicted:
        """Returns what the model says; waits for it, and ends the process after some seconds.

        Raises:
            FailedPreconditionError: The model cannot predict the rows; says why.
        """
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise cannot_predict(
                self._name, "it takes too long; give the search more time"
            ) from None
        finally:
            self._process.kill()
            self._process.wait()
        answer = self._folder / _ANSWER
        if code != 0 or not answer.is_file():
            words = (self._folder / _ERRORS).read_text(errors="replace")[-2000:]
            _log.error("the process of %s ended with %d: %s", self._name, code, words)
            raise cannot_predict(self._name, "its process ended; give trials more memory")
        found = json.loads(answer.read_text())
        if "error" in found:
            raise cannot_predict(self._name, found["error"])
        return Predicted(np.load(self._folder / _OUTPUTS), found["are_probabilities"])


def begin_prediction(
    version: model_pb2.ModelVersion,
    rows: SampleRows,
    order: Order,
    store: ObjectStore,
    folder: Path,
) -> Prediction:
    """Has rows predicted meanwhile.

    Args:
        version: The model: skops, ONNX, or a package with its ONNX twin.
        rows: As models take them.
        order: What is asked.
        store: Where the files of the model are.
        folder: Exists, and is empty.

    Raises:
        FailedPreconditionError: A file of the model is missing.
        DataLossError: A file of it is damaged.
    """
    role = "skops" if version.format == model_pb2.MODEL_FORMAT_SKOPS else "onnx"
    (folder / _VERSION).write_bytes(version.SerializeToString())
    (folder / _MODEL).write_bytes(read_part(version, role, store))
    (folder / _VECTORS).write_bytes(read_part(version, TEST_VECTORS, store))
    (folder / _ORDER).write_text(json.dumps(asdict(order)))
    rows.save(folder / _ROWS)
    return Prediction(version.name, folder)


def cannot_predict(name: str, reason: str) -> FailedPreconditionError:
    """Returns the error of a champion that nothing can be compared with."""
    return FailedPreconditionError(
        f"The champion {name} cannot predict the test rows: {reason.rstrip('.')}. Name another "
        "one, or none.",
        reason="CHAMPION_CANNOT_PREDICT",
    )


def _work(folder: Path) -> None:
    """Does the work, in the process."""
    # Here, so that the job itself imports none of them.
    from services.tuner.champion.answering import outputs_of  # noqa: PLC0415
    from services.tuner.domain.trials.memory import refuse_beyond  # noqa: PLC0415

    plain = json.loads((folder / _ORDER).read_text())
    order = Order(**{**plain, "outputs": tuple(plain["outputs"])})
    refuse_beyond(order.memory_bytes)
    resource.setrlimit(resource.RLIMIT_CPU, (round(order.seconds), round(order.seconds)))
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
