"""Trainings that code of a user's own does: with a `WorkerContext`, or as a Horovod script."""

import contextlib
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from common.artifacts.protocol import ObjectStore
from common.data.cache import HostCache
from common.data.reader import stream_stored
from common.data.schema import Part
from services.trainer.domain.job import Job
from services.trainer.domain.own_code import OwnCode
from services.trainer.worker.committing import Committer
from services.trainer.worker.course import Course
from services.trainer.worker.loop import Outcome
from services.trainer.worker.own_code.context import WorkerContext
from services.trainer.worker.own_code.files import OwnCodeError, function_of, told, unpacked
from services.trainer.worker.own_code.models import Models, with_version
from services.trainer.worker.process import WorkerPlace
from services.trainer.worker.reduction.reducer import Reducer
from services.trainer.worker.reporting import beating
from services.trainer.worker.state import Snapshot, StagePlace

_MOST_OUTPUTS, _MODEL = 200, "model.onnx"
_PARTS = {"train": Part.TRAIN, "validation": Part.VALIDATION, "test": Part.TEST}


def run_own_training(
    worker: WorkerPlace,
    job: Job,
    store: ObjectStore,
    cache: HostCache,
    reducer: Reducer,
) -> Outcome:
    """Runs code that does all of the training.

    Args:
        worker: The worker's place in the world.
        job: The run.
        store: Where code, data and checkpoints are.
        cache: Decoded data of this host.
        reducer: Joined to the world.

    Raises:
        OwnCodeError: The code fails, or hands over no model.
        HorovodInternalError: Another worker is gone.
    """
    code = job.specification.code
    assert code is not None
    rows = Course.open(job, cache, store).stage(StagePlace()).rows
    with unpacked(code, store) as folder:
        if code.kind == "training":
            context = WorkerContext(worker, job, rows, store, reducer)
            function = function_of(code)
            with told():
                function(context)
            metrics = context.finish()
            return _outcome(context.step, context.epoch, metrics)
        models = Models(job, rows, store, worker.rank == 0)
        with beating(worker.progress.beat):
            return _run_script(worker, job, code, folder, store, reducer, models)


def _run_script(
    worker: WorkerPlace,
    job: Job,
    code: OwnCode,
    folder: Path,
    store: ObjectStore,
    reducer: Reducer,
    models: Models,
) -> Outcome:
    outputs = Path(tempfile.mkdtemp(prefix="aimass-outputs-"))
    data = Path(tempfile.mkdtemp(prefix="aimass-data-"))
    try:
        _write_tables(job, store, data)
        settings = {"AIMASS_OUTPUT_DIR": str(outputs), "AIMASS_DATASET_DIR": str(data)}
        with _as_main(folder, code, settings), told():
            runpy.run_path(str(folder / code.entry), run_name="__main__")
        _take_over(outputs, models)
        version = reducer.broadcast(models.version({}).encode()).decode()
    finally:
        shutil.rmtree(outputs, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)
    if worker.local_rank == 0:
        last = Snapshot({"none": torch.zeros(1)}, {"step": "1", "epoch": "1"})
        committer = Committer(worker.commit_dir, None, worker.progress.committed)
        committer.commit(with_version(last, version))
    worker.progress.finish_step(1)
    return _outcome(1, 1, {})


def _take_over(outputs: Path, models: Models) -> None:
    """Stores what a script wrote; its model first."""
    files = sorted(path for path in outputs.rglob("*") if path.is_file())
    if len(files) > _MOST_OUTPUTS:
        raise OwnCodeError(
            f"The script wrote {len(files)} files; at most {_MOST_OUTPUTS} are kept."
        )
    if (outputs / _MODEL).exists():
        models.add_onnx((outputs / _MODEL).read_bytes())
    for path in files:
        name = path.relative_to(outputs).as_posix()
        if name != _MODEL:
            models.add_file(name, f"outputs/{name}", path.read_bytes())


def _write_tables(job: Job, store: ObjectStore, folder: Path) -> None:
    """Writes the rows of each part as a Parquet file, a column at a time in memory."""
    columns: dict[str, dict[str, list[pa.ChunkedArray]]] = {part: {} for part in _PARTS}
    for column in job.data.schema.columns:
        for values, parts in stream_stored(job.data, store, column.name):
            for part, number in _PARTS.items():
                kept = values.filter(pa.array(parts == number))
                columns[part].setdefault(column.name, []).append(kept)
    for part, found in columns.items():
        table = {
            name: pa.chunked_array([chunk for each in pieces for chunk in each.chunks], each.type)
            for name, pieces in found.items()
            for each in pieces[:1]
        }
        pq.write_table(pa.table(table), folder / f"{part}.parquet")


@contextlib.contextmanager
def _as_main(folder: Path, code: OwnCode, settings: Mapping[str, str]) -> Iterator[None]:
    """Lets a script find arguments, working folder and environment as if it were started alone."""
    before = sys.argv, Path.cwd()
    given = [text for name, value in code.arguments.items() for text in (f"--{name}", value)]
    sys.argv = [str(folder / code.entry), *given]
    os.chdir(folder)
    os.environ.update(settings)
    try:
        yield
    finally:
        sys.argv = before[0]
        os.chdir(before[1])


def _outcome(step: int, epoch: int, metrics: Mapping[str, float]) -> Outcome:
    return Outcome(
        step=step, epochs=epoch, best_epoch=epoch, metrics=dict(metrics), stopped_early=False
    )
