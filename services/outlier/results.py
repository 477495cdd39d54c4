"""What a scan leaves to be read: the file of its scores, and what its page shows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.outlier.domain.findings import Findings
from services.outlier.domain.page.plots import PreparedSample
from services.outlier.domain.page.scan_page import ScanPage
from services.outlier.domain.scan import ScanResult
from services.outlier.domain.table import Table, read_rows

_CHUNK_ROWS = 1 << 20
_DRAWN_ROWS = 3000
_DRAWN_MARKED = 1000


def write_scores(result: ScanResult, path: Path, watch: Callable[[], None]) -> float:
    """Writes the file of a scan's scores, a part at a time.

    Args:
        result: What the scan found.
        path: The Parquet file; its columns are those of `OutlierScan.scores`.
        watch: Called now and then; may raise to stop.

    Returns:
        The mean probability of an anomaly.
    """
    schema = pa.schema(
        {
            "score": pa.float64(),
            "probability": pa.float32(),
            "p_value": pa.float32(),
            "rank": pa.int64(),
            "marked": pa.bool_(),
        }
    )
    calibration = result.ensemble.calibration
    total = 0.0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(result.scores), _CHUNK_ROWS):
            watch()
            part = slice(start, start + _CHUNK_ROWS)
            scores = result.scores[part]
            probabilities = calibration.probabilities(scores)
            total += float(probabilities.sum())
            columns = [
                scores,
                probabilities.astype(np.float32),
                calibration.p_values(scores).astype(np.float32),
                result.ranks[part],
                result.marked[part],
            ]
            writer.write_table(pa.table([pa.array(each) for each in columns], schema=schema))
    return total / len(result.scores)


def draw_sample(
    table: Table, result: ScanResult, seed: int, watch: Callable[[int], None]
) -> PreparedSample:
    """Returns rows for the page's map: some at random, and the oddest of the marked ones.

    Args:
        table: The scanned rows.
        result: What the scan found.
        seed: Of the choice.
        watch: Told how many rows have been read; may raise to stop.
    """
    generator = np.random.default_rng(seed)
    count = min(_DRAWN_ROWS, table.row_count)
    some = generator.choice(table.row_count, count, replace=False)
    oddest = result.oddest[: min(_DRAWN_MARKED, int(np.count_nonzero(result.marked)))]
    numbers = np.union1d(some, oddest)
    raw = read_rows(table, numbers, watch)
    values = result.ensemble.preparation.apply(raw).values
    return PreparedSample(values, numbers)


def page_of(
    name: str,
    dataset_version: str,
    table: Table,
    result: ScanResult,
    findings: Findings,
    sample: PreparedSample,
) -> ScanPage:
    """Returns what a scan's page shows.

    Args:
        name: Of the scan.
        dataset_version: What was scanned.
        table: Its rows.
        result: What the scan found.
        findings: Why rows are odd.
        sample: Rows for the map.
    """
    return ScanPage(
        name=name,
        dataset_version=dataset_version,
        columns=len(table.columns),
        scores=result.scores,
        marked=result.marked,
        threshold=result.ensemble.threshold,
        members=tuple(member.name for member in result.ensemble.members),
        left_out=result.left_out,
        findings=findings,
        sample=sample,
    )
