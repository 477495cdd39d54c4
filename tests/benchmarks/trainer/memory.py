"""How much memory a worker takes on a large data set."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2
from common.testing.suite import RunningSuite
from tests.benchmarks.harness import Aim, Measure, is_quick, say
from tests.benchmarks.trainer import ours
from tests.benchmarks.trainer.bench import Bench

_COLUMNS, _GROUPS, _GROUP_ROWS = 500, 25, 20_000
_BYTES_OF_A_NUMBER = 4
_LIMIT_SECONDS = 900.0
_SAMPLE_SECONDS = 0.05
_AIM_MEGABYTES = 700.0
_FIELDS = ("RssAnon:", "RssShmem:")
NOTES = (
    "Memory of a worker: the largest sum of RssAnon and RssShmem in /proc, looked at every 50 ms "
    "in a whole run. Pages that it shares with the process it was forked from count; the decoded "
    "data set and libraries, which are files that the kernel can drop at any time, do not.",
)


def memory(bench: Bench) -> list[Measure]:
    """Measures the memory of two workers on 1 GB of numbers."""
    groups = 2 if is_quick() else _GROUPS
    size = groups * _GROUP_ROWS * _COLUMNS * _BYTES_OF_A_NUMBER
    say(f"Memory on {size / 1e9:.2f} GB")
    version = _imported(bench.suite, groups)
    spec = trainer_pb2.TrainingSpec(
        dataset_version=version,
        model="models/bench-large",
        network=network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork()),
        epochs=1,
        batch_size=512,
        workers=trainer_pb2.WorkerRange(min=1, wanted=2),
    )
    ours.settle(bench.suite)
    with _watched(bench.suite) as peak, ours.followed(bench.suite, spec) as run:
        run.wait_for(lambda event: event.metrics.epoch == 1, _LIMIT_SECONDS)
    name = f"Memory of a worker on a data set of {size / 1e9:.2g} GB, MB"
    return [Measure.of(name, max(peak) / 1e6, None, Aim(at_most=_AIM_MEGABYTES))]


def _imported(suite: RunningSuite, groups: int) -> str:
    generator = np.random.default_rng(0)
    names = [f"x{number}" for number in range(_COLUMNS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.parquet"
        types = [*((name, pa.float32()) for name in names), ("y", pa.float32())]
        with pq.ParquetWriter(path, pa.schema(types), compression="none") as writer:
            for _ in range(groups):
                values = generator.normal(size=(_COLUMNS, _GROUP_ROWS)).astype(np.float32)
                writer.write_table(pa.table([*values, values[:10].sum(0)], schema=pa.schema(types)))
        split = dataset_pb2.SplitSpec(validation_fraction=0.05, test_fraction=0)
        spec = dataset_pb2.DatasetImportSpec(target="y", split=split)
        return suite.import_dataset("bench-large", path.name, path.read_bytes(), spec)


@contextmanager
def _watched(suite: RunningSuite) -> Iterator[list[int]]:
    """Yields what is filled with the bytes of each worker, as often as it was looked at."""
    found, ending = [0], threading.Event()

    def watch() -> None:
        while not ending.wait(_SAMPLE_SECONDS):
            for agent in ("agent-1", "agent-2"):
                with suppress(psutil.Error, OSError, RuntimeError):
                    found.extend(_bytes(each.pid) for each in suite.workers(agent))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ending.set()
        thread.join()


def _bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(_FIELDS))
