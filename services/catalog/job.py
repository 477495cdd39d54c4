"""Entry point of an import's own process: `python -m services.catalog.job IMPORT | --standby`."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import artifact_pb2, event_pb2, run_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.purge import purge_prefix
from common.data.messages import counts_to_proto, schema_to_proto
from common.data.shards import PARQUET_MEDIA_TYPE
from common.errors import UnavailableError
from common.names import DatasetName, DatasetVersionName
from common.protobuf import from_plain
from common.runs.errors import RunCancelledError
from common.runs.job import run_job
from common.runs.kind import attempt_prefix
from common.runs.owner import RunOwner
from common.runs.publishing import publish_request
from services.catalog.buckets import import_objects
from services.catalog.config import ImportSettings
from services.catalog.convert import data_prefixes, spec_from_proto, spec_to_proto
from services.catalog.domain import fields
from services.catalog.domain.append import appended, check_columns, grown_from
from services.catalog.domain.append_spec import like_base
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.groups import RowsBefore
from services.catalog.domain.importer import READING, ImportedData, import_source
from services.catalog.domain.objects import shared_format
from services.catalog.domain.resources import Datasets
from services.catalog.domain.sources.archive import ArchiveLimits
from services.catalog.domain.sources.encoding import is_guess
from services.catalog.domain.sources.several import open_files
from services.catalog.domain.spec import CsvOptions, ImportSpec, resolve_format
from services.catalog.domain.uploads import Uploads, fetch_upload
from services.catalog.domain.versions import Versions
from services.catalog.kind import DATASET_IMPORTS, DATASETS
from services.catalog.publishing import publishing_turn, scratch_folder

Owner = RunOwner[dataset_pb2.DatasetImport]

_FETCHED = 0.1
_READ = 0.5
_WRITTEN = 0.95


@dataclass(frozen=True)
class _Draft:
    """Rows that were imported and have no version yet.

    Attributes:
        rows: A version of their own.
        base: The version they are to be appended to, as it was when they were read.
    """

    rows: dataset_pb2.DatasetVersion
    base: dataset_pb2.DatasetVersion | None


def run_import(owner: Owner) -> None:
    """Imports what the run asks for and publishes the new version.

    An attempt that takes over after the version was made only publishes the end: the version is
    bound to the run, not to the attempt.
    """
    versions = Versions(owner.store, owner.records, DATASETS)
    request = publish_request(DATASET_IMPORTS, owner.run)
    version = versions.find_result(request)
    if version is not None:
        _succeed(owner, versions, version)
    while not owner.ended:
        # To the end of the run: nothing is appended to a version that a late cancel withdraws.
        with ExitStack() as held:
            with _deleting_shards_on_failure(owner):
                draft = _import(owner, versions, ImportSettings())
                turn = held.enter_context(publishing_turn(owner, owner.run.spec.dataset))
                made = _on_newest(owner, versions, draft)
                owner.check()
                owner.check_cancelled()
                turn.check()
            if made is not None:
                references = [owner.name, *filter(None, [made.base_version])]
                dataset = owner.run.spec.dataset
                version = versions.create(dataset, made, request, references=references)
                _succeed(owner, versions, version)


def _succeed(owner: Owner, versions: Datasets, version: dataset_pb2.DatasetVersion) -> None:
    """Publishes the end of the run; where a cancel came first, takes the version away again."""
    _drop_unused(owner, version)
    try:
        owner.succeed(lambda run: _finish(run, version))
    except RunCancelledError:
        versions.withdraw(DatasetVersionName.from_name(version.name))
        for prefix in data_prefixes(version):
            purge_prefix(owner.store, prefix)
        raise


def _on_newest(
    owner: Owner, versions: Datasets, draft: _Draft
) -> dataset_pb2.DatasetVersion | None:
    """Returns a draft appended to the newest version, where it fits to that."""
    if draft.base is None:
        return draft.rows
    newest = _newest(owner, versions)
    grouped = draft.rows.split.method == dataset_pb2.SPLIT_METHOD_GROUPED
    if newest.name != draft.base.name and (grouped or not grown_from(newest, draft.base)):
        owner.log(f"{newest.name} came in between; the rows are read anew to append to it")
        purge_prefix(owner.store, _data_prefix(owner.name, owner.attempt))
        return None
    return appended(newest, draft.rows)


@contextmanager
def _deleting_shards_on_failure(owner: Owner) -> Iterator[None]:
    """Deletes the shards of this attempt where something goes wrong.

    Creating the version is left out: where its answer is lost, a version may name the shards.
    """
    try:
        yield
    except Exception:
        with suppress(UnavailableError):
            purge_prefix(owner.store, _data_prefix(owner.name, owner.attempt))
        raise


def _newest(owner: Owner, versions: Datasets) -> dataset_pb2.DatasetVersion:
    """Returns the version to append to. Raises `NotFoundError` where there is none any more."""
    return versions.get(DatasetVersionName(DatasetName.from_name(owner.run.spec.dataset).id))


def _import(owner: Owner, versions: Datasets, settings: ImportSettings) -> _Draft:
    spec = spec_from_proto(owner.run.spec)
    base = _newest(owner, versions) if spec.append else None
    spec = spec if base is None else like_base(spec, base)
    before = RowsBefore(base, owner.store) if base is not None else None
    limits = ArchiveLimits(
        max_files=settings.import_max_files,
        max_file_bytes=settings.import_max_unpacked_bytes,
        max_total_bytes=settings.import_max_unpacked_bytes,
    )
    with scratch_folder(owner.run, settings.import_scratch_dir) as scratch:
        files, file_format = _fetch(owner, spec, scratch, settings)
        owner.progress(_FETCHED, READING)
        with open_files(files, file_format, scratch, spec, limits) as source:
            if base is not None:
                check_columns([column.name for column in source.columns], base)
            imported = import_source(
                source,
                spec,
                scratch,
                lambda file, name: _publish(owner, file, name),
                lambda stage, done, total: _tell(owner, stage, done, total),
                before,
            )
    _note_csv(owner, spec.csv, imported.csv)
    return _Draft(_version(owner.run, spec, imported), base)


def _note_csv(owner: Owner, asked: CsvOptions, found: CsvOptions | None) -> None:
    """Keeps with the run how a CSV file was read, and warns of a guess."""
    if found is None:
        return
    options = from_plain(found.model_dump(), dataset_pb2.CsvOptions)
    owner.update(lambda run: run.spec.csv.CopyFrom(options))
    if not asked.encoding and is_guess(found.encoding):
        owner.log(
            f"the file is not in UTF-8 and was read as {found.encoding}, which is a guess; where "
            "texts look wrong, import it again with its encoding",
            event_pb2.SEVERITY_WARNING,
        )


def _fetch(
    owner: Owner, spec: ImportSpec, scratch: Path, settings: ImportSettings
) -> tuple[list[tuple[Path, str]], DataFormat | None]:
    """Downloads what is to be imported; returns the files with their names, and their format."""
    if spec.uri:
        return _fetch_objects(owner, spec, scratch, settings)
    upload = Uploads(owner.store, owner.records).require_complete(spec.upload, fields.UPLOAD)
    path = scratch / "upload"
    owner.progress(0.0, "fetching", f"{upload.total_bytes:,} bytes")
    _write(owner, path, fetch_upload(owner.store, upload))
    return [(path, upload.filename)], resolve_format(spec, upload.filename)


def _fetch_objects(
    owner: Owner, spec: ImportSpec, scratch: Path, settings: ImportSettings
) -> tuple[list[tuple[Path, str]], DataFormat | None]:
    found = import_objects(owner.store, settings).find(spec.uri)
    owner.progress(0.0, "fetching", f"{found.total_bytes:,} bytes")
    files = []
    for number, info in enumerate(found.objects):
        path = scratch / f"object-{number}"
        _write(owner, path, found.store.download(info.key))
        files.append((path, info.key))
    return files, shared_format(spec, found)


def _write(owner: Owner, path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            owner.check_cancelled()
            file.write(chunk)


def _publish(owner: Owner, file: Path, name: str) -> artifact_pb2.ArtifactRef:
    owner.check()
    key = f"{_data_prefix(owner.name, owner.attempt)}{name}"
    return put_artifact(owner.store, key, file, PARQUET_MEDIA_TYPE)


def _drop_unused(owner: Owner, version: dataset_pb2.DatasetVersion) -> None:
    """Deletes the shards of attempts that did not make the version."""
    used = data_prefixes(version)
    for attempt in range(1, owner.attempt + 1):
        prefix = _data_prefix(owner.name, attempt)
        if prefix not in used:
            purge_prefix(owner.store, prefix)


def _data_prefix(run: str, attempt: int) -> str:
    return f"{attempt_prefix(run, attempt)}data/"


def _tell(owner: Owner, stage: str, done: int, total: int) -> None:
    owner.check_cancelled()
    if stage == READING:
        # How many rows there are is not known yet: approach the stage's end, do not pass it.
        share = done / (done + 100_000)
        fraction = _FETCHED + (_READ - _FETCHED) * share
    else:
        fraction = _READ + (_WRITTEN - _READ) * done / max(total, 1)
    owner.progress(fraction, stage, f"{done:,} rows")


def _version(
    run: dataset_pb2.DatasetImport, spec: ImportSpec, imported: ImportedData
) -> dataset_pb2.DatasetVersion:
    resolved = spec_to_proto(spec.model_copy(update={"split": imported.split}))
    data = imported.data
    return dataset_pb2.DatasetVersion(
        digest=data.digest,
        schema=schema_to_proto(imported.schema),
        row_count=data.counts.total,
        split_counts=counts_to_proto(data.counts),
        split=resolved.split,
        shards=data.shards,
        size_bytes=data.size_bytes,
        lineage=run_pb2.Lineage(inputs=[run.name, *_inputs(run)]),
        labels=run.labels,
    )


def _finish(run: dataset_pb2.DatasetImport, version: dataset_pb2.DatasetVersion) -> None:
    run.dataset_version = version.name
    if not run.spec.targets:
        run.spec.target = version.schema.target
    run.spec.task = version.schema.task
    run.spec.split.CopyFrom(version.split)
    run.status.lineage.inputs[:] = _inputs(run)
    run.status.lineage.outputs[:] = [version.name]


def _inputs(run: dataset_pb2.DatasetImport) -> list[str]:
    """Returns the resources that went into an import; objects of the store are none."""
    return [run.spec.upload] if run.spec.upload else []


def main() -> int:
    """Works on one import; returns the exit code of the process."""
    return run_job(DATASET_IMPORTS, run_import, resumes=False)


if __name__ == "__main__":
    sys.exit(main())
