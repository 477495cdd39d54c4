"""How fast a CSV file is imported, and in how much memory."""

import hashlib
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv

from aimass.type.v1 import artifact_pb2
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.importer import import_source
from services.catalog.domain.sources.opening import open_source
from services.catalog.domain.spec import ImportSpec
from tests.benchmarks.harness import Aim, Measure, interleave, is_quick, middle, repeats, say
from tests.support.bounds import IMPORT_MEMORY_MB

RATIO = 1.3
ROUNDS = 3
NOTES = (
    "Import: a table of 16 columns (numbers, whole and not, labels, truth values, times), "
    "1 GB; 20 MB where it is quick. Ours reads it, takes statistics, splits and writes shards with "
    "their digests; DuckDB copies it to one Parquet file with types from its own sniffer and two "
    "threads. Each run has a process of its own; its start is not counted. Both write to disk.",
)
ROWS, QUICK_ROWS = 8_000_000, 160_000
_CHUNK_ROWS = 80_000
_THREADS = 2


@dataclass(frozen=True)
class Run:
    """One import.

    Attributes:
        seconds: How long it took.
        megabytes: Most memory that the process held.
    """

    seconds: float
    megabytes: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.megabytes:.0f} MB"


def importing() -> list[Measure]:
    """Imports one file in turn with ours and DuckDB."""
    with tempfile.TemporaryDirectory(prefix="aimass-bench-") as name:
        folder = Path(name)
        path = folder / "table.csv"
        write_table(path, QUICK_ROWS if is_quick() else ROWS)
        say(f"Importing a CSV file of {path.stat().st_size / 1e6:.0f} MB")
        contenders: dict[str, Callable[[int], Run]] = {
            "ours": lambda number: _apart(_ours, path, folder / f"ours-{number}"),
            "DuckDB": lambda number: _apart(_theirs, path, folder / f"theirs-{number}"),
        }
        runs = interleave(contenders, repeats(ROUNDS))
    seconds = {name: middle([run.seconds for run in found]) for name, found in runs.items()}
    memory = {name: max(run.megabytes for run in found) for name, found in runs.items()}
    return [
        Measure.of("import of a CSV file, s", seconds["ours"], seconds["DuckDB"], Aim(ratio=RATIO)),
        Measure.of(
            "most memory of it, MB", memory["ours"], memory["DuckDB"], Aim(at_most=IMPORT_MEMORY_MB)
        ),
    ]


def write_table(path: Path, rows: int) -> None:
    """Writes a CSV file of the usual kinds of columns, about 125 bytes a row."""
    random = np.random.default_rng(0)
    cities = np.array([f"city_{number}" for number in range(40)])
    truth = np.array(["false", "true"])
    start = np.datetime64("2024-01-01T00:00:00")
    with path.open("wb") as file:
        for first in range(0, rows, _CHUNK_ROWS):
            count = min(_CHUNK_ROWS, rows - first)
            columns: dict[str, object] = {
                f"x{number}": np.round(random.normal(size=count), 6) for number in range(8)
            }
            for digits in range(1, 5):
                columns[f"n{digits}"] = random.integers(0, 10**digits, count)
            columns["city"] = cities[random.integers(0, 40, count)]
            columns["flag"] = truth[random.integers(0, 2, count)]
            columns["when"] = (start + random.integers(0, 10**7, count)).astype(str)
            columns["y"] = random.integers(0, 3, count)
            options = pa.csv.WriteOptions(include_header=first == 0, quoting_style="none")
            pa.csv.write_csv(pa.table(columns), file, options)


def _apart(run: Callable[[Path, Path], float], path: Path, folder: Path) -> Run:
    """Runs in a process of its own, in a folder that is removed afterwards."""
    folder.mkdir()
    try:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(_measured, (run, path, folder))
    finally:
        shutil.rmtree(folder)


def _measured(run: Callable[[Path, Path], float], path: Path, folder: Path) -> Run:
    seconds = run(path, folder)
    return Run(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _ours(path: Path, folder: Path) -> float:
    spec = ImportSpec(dataset="datasets/bench", upload="uploads/bench", format=DataFormat.CSV)
    kept = folder / "kept"
    kept.mkdir()

    def publish(file: Path, name: str) -> artifact_pb2.ArtifactRef:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        stored = kept / name
        stored.hardlink_to(file)
        size = stored.stat().st_size
        return artifact_pb2.ArtifactRef(uri=stored.as_uri(), sha256=digest, size_bytes=size)

    start = time.perf_counter()
    with open_source(path, DataFormat.CSV, folder, spec) as source:
        import_source(source, spec, folder, publish, lambda stage, done, total: None)
    return time.perf_counter() - start


def _theirs(path: Path, folder: Path) -> float:
    start = time.perf_counter()
    with duckdb.connect(config={"threads": _THREADS}) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(
            f"COPY (SELECT * FROM read_csv('{path}')) TO '{folder}/table.parquet' (FORMAT parquet)"
        )
    return time.perf_counter() - start
