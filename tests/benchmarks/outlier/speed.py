"""How quickly rows are scored, and in how much memory.

Part of `make bench NAME=outlier`; alone it is `python -m tests.benchmarks.outlier.speed`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import psutil
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from river.anomaly import HalfSpaceTrees

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import Detector, Rows
from services.outlier.domain.detectors.forests import IsolationForest
from services.outlier.domain.detectors.statistics import Ecod
from services.outlier.domain.scan import ScanOptions, scan
from services.outlier.domain.streaming.online import Online
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
    "Scoring: 1,000,000 rows of 20 normal numbers, detectors fitted on 20,000; theirs are PyOD's "
    "with n_jobs=2, medians of interleaved rounds. ECOD of theirs is measured on 100,000 rows, for "
    "it sorts all rows anew; both per million rows.",
    "Stream: rows of 8 numbers in batches of 64, scored and learned in process, with drift alarms "
    "and marks; theirs is river's HalfSpaceTrees, row by row, score and learn alone.",
    "Scan: 10,000,000 rows of 20 numbers that are made as they are read, with the detectors that "
    "are chosen by themselves; the largest resident memory of the process above that before.",
)
_ROWS, _FITTED, _FEATURES = 1_000_000, 20_000, 20
_FASTER = Aim(ratio=1 / 1.5)
_BATCH, _STREAMED = 64, 20_000
_MEGABYTES = 2_000


def speed() -> list[Measure]:
    """Measures scoring, streams and memory."""
    say("Scoring with fitted detectors")
    measures = [
        _scoring("isolation forest", IsolationForest(), IForest(n_jobs=2), _rows(1.0)),
        _scoring("ECOD", Ecod(), ECOD(n_jobs=2), _rows(0.1)),
    ]
    say("Scoring a stream")
    measures.append(_streaming())
    say("Scanning ten million rows")
    return [*measures, *_scanning()]


def _rows(share: float) -> int:
    return int(_ROWS * share) // (50 if is_quick() else 1)


def _scoring(name: str, ours: Detector, theirs: object, their_rows: int) -> Measure:
    generator = np.random.default_rng(0)
    known = generator.normal(size=(_FITTED, _FEATURES))
    values = generator.normal(size=(_rows(1.0), _FEATURES))
    fitted = ours.fit(_prepared(known), generator)
    theirs.fit(known)  # type: ignore[attr-defined]
    fitted.score(_prepared(values[:100]))  # what is compiled once is compiled now
    contenders: dict[str, Callable[[int], float]] = {
        "ours": lambda number: _seconds(lambda: fitted.score(_prepared(values))) / len(values),
        "PyOD": lambda number: (
            _seconds(
                lambda: theirs.decision_function(values[:their_rows])  # type: ignore[attr-defined]
            )
            / their_rows
        ),
    }
    found = interleave(contenders, repeats(3))
    million = {each: (middle(times) or 0.0) * 1e6 for each, times in found.items()}
    return Measure.of(f"{name}, s per million rows", million["ours"], million["PyOD"], _FASTER)


def _prepared(values: Matrix) -> Rows:
    return Rows(values, np.zeros((len(values), 0), np.int32))


def _streaming() -> Measure:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(_STREAMED // (10 if is_quick() else 1), 8))
    as_dicts = [dict(enumerate(row)) for row in rows.tolist()]
    Online().start(8).process(rows[: 4 * _BATCH])  # what is compiled once is compiled now

    def ours(number: int) -> float:
        detector = Online().start(8)
        batches = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
        return _seconds(lambda: [detector.process(batch) for batch in batches])

    def theirs(number: int) -> float:
        trees = HalfSpaceTrees(seed=0, limits=dict.fromkeys(range(8), (-5.0, 5.0)))

        def run() -> None:
            for row in as_dicts:
                trees.score_one(row)  # type: ignore[no-untyped-call]
                trees.learn_one(row)  # type: ignore[no-untyped-call]

        return _seconds(run)

    found = interleave({"ours": ours, "river": theirs}, repeats(3))
    each = {name: (middle(times) or 0.0) * 1e6 / len(rows) for name, times in found.items()}
    aim = Aim(at_most=74)
    return Measure.of("stream, us per row", each["ours"], each["river"], aim)


@dataclass(frozen=True)
class _MadeRows:
    """Normal numbers that are made when they are read."""

    row_count: int
    batch_rows: int = 65_536

    @property
    def columns(self) -> list[Column]:
        return [Column(f"c{place}", ColumnType.NUMERIC) for place in range(_FEATURES)]

    def batches(self) -> Iterator[RawRows]:
        for number, start in enumerate(range(0, self.row_count, self.batch_rows)):
            count = min(self.batch_rows, self.row_count - start)
            values = np.random.default_rng(number).normal(size=(_FEATURES, count))
            yield RawRows({f"c{place}": each for place, each in enumerate(values)})


def _scanning() -> list[Measure]:
    process = psutil.Process()
    before, most = process.memory_info().rss, 0

    def watch(stage: object, done: int, total: int) -> None:
        nonlocal most
        most = max(most, process.memory_info().rss)

    table = _MadeRows(10 * _rows(1.0))
    seconds = _seconds(lambda: scan(table, ScanOptions(seconds=3600), watch))
    memory = Measure.of(
        "scan of 10,000,000 rows, MB", (most - before) / 2**20, aim=Aim(at_most=_MEGABYTES)
    )
    return [memory, Measure.of("the same, s per million rows", seconds * 1e6 / table.row_count)]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    publish("speed", speed(), NOTES)
