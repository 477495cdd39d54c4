"""In how much memory the weights of a large model are looked at.

Part of `make bench NAME=analyzer`; alone it is `python -m tests.benchmarks.analyzer.weights`.
"""

import json
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from common.models.preprocessing import NumericColumn, Preprocessing, Target
from common.networks.specification import NetworkInput, NetworkSpecification
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.subject import Subject
from services.analyzer.domain.weights.analysis import analyse_weights
from tests.benchmarks.harness import ROOT, Aim, Measure, is_quick, publish, say
from tests.support.analysis import numeric_columns, sample_of, subject_of

NOTES = (
    "Weights: a multi-layer perceptron of 1.1 GB (four layers of 8192 x 8192 normal weights), all "
    "statistics with estimated ranks; the largest resident memory of the process from its start.",
)
_COLUMNS, _LAYERS = 64, 4
_CHUNK = 1 << 24
_MEGABYTES = 1_500


def weights() -> list[Measure]:
    """Measures memory and time of the statistics of a large model, in a process of their own."""
    say("Looking at the weights of a large model")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights"
        write_model(path, 1024 if is_quick() else 8192)
        megabytes, seconds = _in_child(path)
    memory = Measure.of("weights of a 1 GB model, MB", megabytes, aim=Aim(at_most=_MEGABYTES))
    return [memory, Measure.of("the same, s", seconds)]


def write_model(path: Path, width: int) -> None:
    """Writes the weights of a perceptron of normal numbers, piece by piece."""
    shapes = dict(_shapes(width))
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    generator = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for start in range(0, end // 4, _CHUNK):
            count = min(_CHUNK, end // 4 - start)
            file.write(generator.standard_normal(count, np.float32).tobytes())


def _shapes(width: int) -> Iterator[tuple[str, list[int]]]:
    widths = [_COLUMNS, *[width] * (_LAYERS + 1), 2]
    for place, (inputs, outputs) in enumerate(pairwise(widths)):
        yield f"layers.{2 * place}.weight", [outputs, inputs]
        yield f"layers.{2 * place}.bias", [outputs]


def _in_child(path: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "tests.benchmarks.analyzer.weights", str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["megabytes"], found["seconds"]


def _look(path: Path) -> None:
    start = time.perf_counter()
    found = analyse_weights(_subject(path), Budget(600))
    seconds = time.perf_counter() - start
    assert all(
        each.spectrum for each in found.summary.tensors if min(each.shape) > 1 < len(each.shape)
    )
    print(json.dumps({"megabytes": _peak_megabytes(), "seconds": seconds}))


def _peak_megabytes() -> float:
    """Returns the largest resident memory of this process; that of its parent does not count."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def _subject(path: Path) -> Subject:
    names = [f"c{place}" for place in range(_COLUMNS)]
    values = np.random.default_rng(0).normal(size=(20, _COLUMNS))
    numeric = tuple(NumericColumn(name=name, mean=0.0, scale=1.0) for name in names)
    target = Target(name="target", task="classification", classes=("a", "b"))
    network = NetworkSpecification.model_validate({"mlp": {"hidden_widths": (8192,)}})
    network = network.model_copy(update={"input": NetworkInput(numeric_columns=_COLUMNS)})

    def load() -> "object":
        raise AssertionError("the network is not needed")

    package = TorchPackage(
        network,
        Preprocessing(numeric=numeric, target=target),
        path,
        load,  # type: ignore[arg-type]
    )
    sample = sample_of(
        numeric_columns(values, names), dict(zip(names, values.T, strict=True)), None
    )
    return subject_of(package, sample)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _look(Path(sys.argv[1]))
    else:
        publish("analyzer-weights", weights(), NOTES)
