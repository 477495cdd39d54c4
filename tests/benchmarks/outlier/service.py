"""What the service adds: streams over gRPC, and scans as runs.

Part of `make bench NAME=outlier`; alone it is `python -m tests.benchmarks.outlier.service`.
"""

import io
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from river.anomaly import HalfSpaceTrees

from aimass.outlier.v1 import outlier_pb2
from aimass.type.v1 import run_pb2, table_pb2
from common.calls import client
from common.testing.suite import RunningSuite, running_suite
from tests.benchmarks.harness import (
    Aim,
    Measure,
    interleave,
    is_quick,
    middle,
    publish,
    repeats,
    say,
)

Matrix = npt.NDArray[np.float64]
NOTES = (
    "Stream over gRPC: rows of 8 numbers in messages of 1 and of 64, sent ahead; from the first "
    "message to the last answer, scored and learned, with marks, drift alarms and saves. Theirs is "
    "river's HalfSpaceTrees in process, row by row, score and learn alone.",
    "Scan as a run: 10,000,000 rows of 20 numbers, imported before; the largest resident memory of "
    "the run's process, from Create to SUCCEEDED.",
)
_FEATURES, _BATCHES = 8, {1: 4_000, 64: 64_000}
_SCANNED = 10_000_000
_LIMIT = 74
_MEGABYTES = 2_000


def service() -> list[Measure]:
    """Measures streams over gRPC and a scan as a run."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_suite(Path(folder) / "home") as suite,
    ):
        say("Streaming over gRPC")
        measures = _streaming(suite)
        say("Scanning ten million rows as a run")
        return [*measures, *_scanning(suite)]


def _streaming(suite: RunningSuite) -> list[Measure]:
    rows = np.random.default_rng(0).normal(size=(max(_BATCHES.values()), _FEATURES))
    _feed(suite, "warm", rows[:512], 64)  # what is compiled once is compiled now
    contenders: dict[str, Callable[[int], float]] = {
        str(batch): lambda number, batch=batch, count=count: (  # type: ignore[misc]
            _feed(suite, f"s{batch}-{number}", rows[: count // _scale()], batch)
        )
        for batch, count in _BATCHES.items()
    }
    contenders["river"] = lambda number: _river(rows[: 10_000 // _scale()])
    found = interleave(contenders, repeats(3))
    each = {name: middle(times) for name, times in found.items()}
    return [
        Measure.of("stream over gRPC, messages of 1 row, us per row", each["1"], each["river"]),
        Measure.of(
            "stream over gRPC, messages of 64 rows, us per row",
            each["64"],
            each["river"],
            Aim(at_most=_LIMIT),
        ),
    ]


def _scale() -> int:
    return 10 if is_quick() else 1


def _feed(suite: RunningSuite, name: str, rows: Matrix, batch: int) -> float:
    """Returns microseconds per row."""
    messages = [_message(rows[start : start + batch]) for start in range(0, len(rows), batch)]
    online = outlier_pb2.OnlineDetector(stream=f"outlierStreams/{name}")

    def requests() -> Iterator[outlier_pb2.ScoreStreamRequest]:
        yield outlier_pb2.ScoreStreamRequest(start=outlier_pb2.StreamStart(online=online))
        is_open.wait()
        yield from messages

    is_open = threading.Event()
    answers = iter(suite.outliers.ScoreStream(requests()))
    next(answers)
    began = time.perf_counter()
    is_open.set()
    scored = sum(len(answer.scored.scores) for answer in answers)
    seconds = time.perf_counter() - began
    assert scored == len(rows)
    return seconds / scored * 1e6


def _message(rows: Matrix) -> outlier_pb2.ScoreStreamRequest:
    columns = [
        table_pb2.Column(name=f"c{place}", doubles=table_pb2.DoubleValues(values=values))
        for place, values in enumerate(rows.T)
    ]
    return outlier_pb2.ScoreStreamRequest(rows=table_pb2.Table(columns=columns))


def _river(rows: Matrix) -> float:
    """Returns microseconds per row."""
    trees = HalfSpaceTrees(seed=0, limits=dict.fromkeys(range(_FEATURES), (-5.0, 5.0)))
    as_dicts = [dict(enumerate(row)) for row in rows.tolist()]
    began = time.perf_counter()
    for row in as_dicts:
        trees.score_one(row)  # type: ignore[no-untyped-call]
        trees.learn_one(row)  # type: ignore[no-untyped-call]
    return (time.perf_counter() - began) / len(rows) * 1e6


def _scanning(suite: RunningSuite) -> list[Measure]:
    count = _SCANNED // (50 if is_quick() else 1)
    version = suite.import_dataset("bench-normal", "normal.npz", _made(count))
    began = time.perf_counter()
    request = outlier_pb2.CreateOutlierScanRequest(
        outlier_scan=outlier_pb2.OutlierScan(
            spec=outlier_pb2.OutlierScanSpec(dataset_version=version)
        )
    )
    request.outlier_scan.spec.budget.FromSeconds(3600)
    name = suite.outliers.CreateOutlierScan(request).name
    with _Watching(suite, name) as memory:
        watch = outlier_pb2.WatchOutlierScanRequest(name=name)
        for _ in client.watch(suite.outliers.WatchOutlierScan, watch):
            pass
    seconds = time.perf_counter() - began
    scan = suite.outliers.GetOutlierScan(outlier_pb2.GetOutlierScanRequest(name=name))
    assert scan.status.state == run_pb2.RUN_STATE_SUCCEEDED, scan.status.error
    foretold = scan.estimate.memory_bytes / 2**20
    return [
        Measure.of(
            "scan of 10,000,000 rows as a run, MB", memory.most / 2**20, aim=Aim(at_most=_MEGABYTES)
        ),
        Measure.of("the same, foretold, MB", foretold),
        Measure.of("the same, s per million rows", seconds * 1e6 / count),
        Measure.of(
            "the same, foretold, s per million rows",
            scan.estimate.duration.ToNanoseconds() / 1e3 / count,
        ),
    ]


def _made(count: int) -> bytes:
    generator = np.random.default_rng(0)
    columns = {f"c{place}": generator.normal(size=count).astype(np.float32) for place in range(20)}
    buffer = io.BytesIO()
    np.savez(buffer, **columns)  # type: ignore[arg-type]
    return buffer.getvalue()


class _Watching:
    """Looks every tenth of a second how much memory a run's process takes.

    Attributes:
        most: The most that was seen, in bytes.
    """

    def __init__(self, suite: RunningSuite, run: str) -> None:
        self.most = 0
        self._suite = suite
        self._run = run
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "_Watching":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        process: psutil.Process | None = None
        while not self._ended.wait(0.1):
            try:
                process = process or self._suite.job(self._run)
                self.most = max(self.most, process.memory_info().rss)
            except (AssertionError, psutil.NoSuchProcess):
                continue


if __name__ == "__main__":
    publish("outlier-service", service(), NOTES)
