"""Entry point of a model import's own process: `python -m services.catalog.model_job IMPORT`."""

import sys
from contextlib import suppress
from pathlib import Path

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.purge import purge_prefix
from common.data.schema import Task
from common.errors import InvalidFieldError, UnavailableError
from common.models.store import TEST_VECTORS
from common.names import DatasetVersionName, ModelVersionName
from common.runs.errors import RunCancelledError
from common.runs.job import run_job
from common.runs.kind import attempt_prefix
from common.runs.owner import RunOwner
from common.runs.publishing import publish_request
from services.catalog.config import ModelImportSettings
from services.catalog.convert import model_spec_from_proto
from services.catalog.domain.model_spec import UPLOAD, ModelFormat, resolve_model_format
from services.catalog.domain.models import Models
from services.catalog.domain.sample_rows import read_sample_rows
from services.catalog.domain.uploads import Uploads, fetch_upload
from services.catalog.domain.versions import Versions
from services.catalog.inspection import MODEL, ROWS, Answer, Limits, inspect_in_process
from services.catalog.kind import DATASETS, MODEL_IMPORTS
from services.catalog.publishing import scratch_folder

Owner = RunOwner[model_pb2.ModelImport]

_BINARY = "application/octet-stream"
_FORMATS = {
    ModelFormat.ONNX: model_pb2.MODEL_FORMAT_ONNX,
    ModelFormat.SKOPS: model_pb2.MODEL_FORMAT_SKOPS,
}
_TASKS = {task: dataset_pb2.Task.Value(f"TASK_{task.name}") for task in Task}
_FETCHED = 0.2
_INSPECTED = 0.9


def run_model_import(owner: Owner) -> None:
    """Imports what the run asks for and publishes the new version.

    An attempt that takes over after the version was made only publishes the end: the version is
    bound to the run, not to the attempt.
    """
    models = Models(owner.store, owner.records)
    request = publish_request(MODEL_IMPORTS, owner.run)
    version = models.find_result(request)
    if version is None:
        try:
            draft = _import(owner, ModelImportSettings())
        except Exception:
            with suppress(UnavailableError):
                purge_prefix(owner.store, _prefix(owner))
            raise
        owner.check()
        owner.check_cancelled()
        references = list(draft.lineage.inputs)
        version = models.create(owner.run.spec.model, draft, request, references)
    try:
        owner.succeed(lambda run: _finish(run, version))
    except RunCancelledError:
        models.withdraw(ModelVersionName.from_name(version.name))
        raise


def _import(owner: Owner, settings: ModelImportSettings) -> model_pb2.ModelVersion:
    spec = model_spec_from_proto(owner.run.spec)
    upload = Uploads(owner.store, owner.records).require_complete(spec.upload, UPLOAD)
    if upload.total_bytes > settings.model_import_max_bytes:
        raise InvalidFieldError(
            UPLOAD,
            f"has {upload.total_bytes:,} bytes, and at most {settings.model_import_max_bytes:,} "
            "are taken; raise AIMASS_MODEL_IMPORT_MAX_BYTES",
            reason="MODEL_TOO_LARGE",
        )
    kind = resolve_model_format(spec, upload.filename)
    limits = Limits(settings.model_import_memory_bytes, settings.model_import_seconds)
    with scratch_folder(owner.run, settings.import_scratch_dir) as folder:
        owner.progress(0.0, "fetching", f"{upload.total_bytes:,} bytes")
        with (folder / MODEL).open("wb") as file:
            file.writelines(fetch_upload(owner.store, upload))
        if spec.dataset_version:
            _write_rows(owner, spec.dataset_version, folder / ROWS)
        owner.progress(_FETCHED, "trying")
        answer = inspect_in_process(folder, kind, spec, limits, owner.check_cancelled)
        owner.progress(_INSPECTED, "storing")
        return _version(owner, kind, answer, folder / MODEL)


def _write_rows(owner: Owner, name: str, path: Path) -> None:
    datasets = Versions(owner.store, owner.records, DATASETS)
    version = datasets.get(DatasetVersionName.from_name(name))
    read_sample_rows(version, owner.store).save(path)


def _version(
    owner: Owner, kind: ModelFormat, answer: Answer, model: Path
) -> model_pb2.ModelVersion:
    spec = owner.run.spec
    owner.check()
    inputs = [owner.name, spec.upload, spec.dataset_version]
    version = model_pb2.ModelVersion(
        task=_TASKS[Task(answer.task)],
        format=_FORMATS[kind],
        signature=answer.signature,
        metrics={**spec.metrics, **answer.metrics},
        lineage=run_pb2.Lineage(inputs=[name for name in inputs if name]),
        labels=owner.run.labels,
        parameter_count=answer.parameter_count,
    )
    files = [(kind.value, f"model.{kind}", model)]
    files.append((TEST_VECTORS, answer.samples.name, answer.samples))
    for role, name, path in files:
        ref = put_artifact(owner.store, f"{_prefix(owner)}{name}", path, _BINARY)
        version.artifacts[role].CopyFrom(ref)
    return version


def _prefix(owner: Owner) -> str:
    return f"{attempt_prefix(owner.name, owner.attempt)}model/"


def _finish(run: model_pb2.ModelImport, version: model_pb2.ModelVersion) -> None:
    run.model_version = version.name
    run.spec.task = version.task
    run.spec.classes[:] = version.signature.classes
    inputs = [run.spec.upload, run.spec.dataset_version]
    run.status.lineage.inputs[:] = [name for name in inputs if name]
    run.status.lineage.outputs[:] = [version.name]


def main() -> int:
    """Works on one import; returns the exit code of the process."""
    return run_job(MODEL_IMPORTS, run_model_import, resumes=False)


if __name__ == "__main__":
    sys.exit(main())
