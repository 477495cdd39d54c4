"""`aimass apply`: creates what a YAML file says, and follows it."""

import uuid
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.markup import escape

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.tuner.v1 import policy_pb2, study_pb2, tuner_pb2
from common.cli.context import CliContext, context_of
from common.cli.documents import Document, Request, RunRequest, load_documents
from common.cli.errors import CliError
from common.cli.follow import follow_or_leave
from common.cli.run_kinds import Run, calls_for
from common.cli.upload import upload_with_bar

Standing: TypeAlias = policy_pb2.TuningPolicy | study_pb2.Study
"""What has no end to follow it to."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("apply")(apply)


def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Option("-f", "--file", help="YAML file, one or more documents.")],
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is created.")] = False,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Only check; print it with defaults filled in.")
    ] = False,
) -> None:
    """Create what a YAML file says, in order, and follow each run to its end.

    A document is `kind: Analysis`, `DatasetImport`, `ModelImport`, `OutlierScan`, `PruningRun`,
    `Study`, `TrainingRun`, `TuningPolicy` or `TuningRun` and the fields of that kind's create
    request. An import's `upload` may be `file:<path>`, counted from the YAML file; it is uploaded
    with --validate-only too.

    A document with `as: <label>` can be referred to by later ones: `${label}` is the name of what
    it created, `${label.field}` a name that this has once it has ended, for instance
    `${data.dataset_version}` of an import or `${search.model_version}` of a search. With `?` at its
    end, `${smaller.model_version?}`, it is left out where there is none.
    """
    cli = context_of(context)
    made: dict[str, Run | Standing] = {}
    for document in load_documents(file):
        if validate_only and document.referring is not None:
            raise CliError(
                f"{document.place} refers to what others make; leave --validate-only out, or "
                "give names that are there."
            )
        document.complete(made)
        applied = _apply_one(cli, document, detach=detach, validate_only=validate_only)
        if document.label:
            made[document.label] = applied


def _apply_one(
    cli: CliContext, document: Document, *, detach: bool, validate_only: bool
) -> Run | Standing:
    """Returns what a document made: a run as it ended, unless it is left to itself."""
    request = document.request
    if document.upload is not None:
        document.set_upload(upload_with_bar(cli, document.upload))
    request.validate_only = request.validate_only or validate_only
    created = _created(cli, request)
    if request.validate_only:
        cli.print_yaml(created)
        return created
    cli.console.print(f"[bold]{escape(created.name)}[/] was created from {document.place}")
    if detach or isinstance(created, Standing):
        return created
    calls = calls_for(cli.clients, created.name)
    code = follow_or_leave(calls, created.name, cli.console)
    if code:
        raise typer.Exit(code)
    return calls.get(created.name)


def _created(cli: CliContext, request: Request) -> Run | Standing:
    request.request_id = request.request_id or str(uuid.uuid4())
    if isinstance(request, policy_pb2.CreateTuningPolicyRequest):
        return cli.clients.policies.CreateTuningPolicy(request)
    if isinstance(request, study_pb2.CreateStudyRequest):
        return cli.clients.studies.CreateStudy(request)
    return create(cli, request)


def create(cli: CliContext, request: RunRequest) -> Run:
    """Sends a create request, which is safe to repeat on a broken connection."""
    request.request_id = request.request_id or str(uuid.uuid4())
    if isinstance(request, dataset_pb2.CreateDatasetImportRequest):
        return cli.clients.datasets.CreateDatasetImport(request)
    if isinstance(request, model_pb2.CreateModelImportRequest):
        return cli.clients.models.CreateModelImport(request)
    if isinstance(request, analyzer_pb2.CreateAnalysisRequest):
        return cli.clients.analyses.CreateAnalysis(request)
    if isinstance(request, outlier_pb2.CreateOutlierScanRequest):
        return cli.clients.outliers.CreateOutlierScan(request)
    if isinstance(request, tuner_pb2.CreateTuningRunRequest):
        return cli.clients.tuning.CreateTuningRun(request)
    if isinstance(request, pruner_pb2.CreatePruningRunRequest):
        return cli.clients.pruning.CreatePruningRun(request)
    return cli.clients.training.CreateTrainingRun(request)
