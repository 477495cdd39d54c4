"""`aimass models`: models in the catalog."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.cli import text
from common.cli.context import CliContext, context_of
from common.cli.dataset_spec import TASKS, choice, words
from common.cli.datasets import version_name
from common.cli.errors import CliError
from common.cli.follow import follow_or_leave
from common.cli.paging import listed
from common.cli.run_kinds import calls_for
from common.cli.upload import download_with_bar, upload_with_bar

app = typer.Typer(help="Models: import, list, show, alias, download.", no_args_is_help=True)
_FILES = {
    "configuration": "configuration.json",
    "detector": "detector.safetensors",
    "environment": "environment.json",
    "history": "history.parquet",
    "onnx": "model.onnx",
    "preprocessing": "preprocessing.json",
    "samples": "samples.safetensors",
    "skops": "model.skops",
    "specification": "specification.json",
    "tokenizer": "tokenizer.json",
    "weights": "weights.safetensors",
}


@app.command("import")
def import_(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="ONNX file, or skops file of scikit-learn.")],
    name: Annotated[str, typer.Option(help="Model to add a version to.")],
    task: Annotated[str, typer.Option(help=" | ".join(words(TASKS)) + ". Required for ONNX.")] = "",
    data: Annotated[
        str, typer.Option(help="Data set version to try it on. Default: random samples.")
    ] = "",
    class_: Annotated[
        list[str] | None, typer.Option("--class", help="Class label, in the order of the output.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once the import is created.")
    ] = False,
) -> None:
    """Upload a model that was made elsewhere, make a version of it, and follow the import."""
    cli = context_of(context)
    spec = model_pb2.ModelImportSpec(
        model=_model_name(name),
        task=dataset_pb2.Task.ValueType(choice("--task", task, TASKS)),
        dataset_version=version_name("datasets", data) if data else "",
        classes=class_ or (),
    )
    spec.upload = upload_with_bar(cli, path)
    request = model_pb2.CreateModelImportRequest(
        model_import=model_pb2.ModelImport(spec=spec), request_id=str(uuid.uuid4())
    )
    created = cli.clients.models.CreateModelImport(request)
    cli.console.print(f"[bold]{created.name}[/] was created")
    if not detach:
        calls = calls_for(cli.clients, created.name)
        raise typer.Exit(follow_or_leave(calls, created.name, cli.console))


@app.command("list")
def list_(
    context: typer.Context,
    filter_: Annotated[
        str, typer.Option("--filter", help="For example `latest_version>2 AND aliases:champion`.")
    ] = "",
    order_by: Annotated[str, typer.Option(help="For example `name`. Default: newest first.")] = "",
) -> None:
    """List models, newest first."""
    cli = context_of(context)
    request = model_pb2.ListModelsRequest(filter=filter_, order_by=order_by)
    found = listed(cli.clients.models.ListModels, request, "models")
    if cli.as_json:
        cli.print_json(found)
        return
    rows = [
        (each.name, str(each.latest_version), _aliases(each), text.moment(each.create_time))
        for each in found
    ]
    cli.print_table(("name", ">latest version", "aliases", "created"), rows)


@app.command()
def alias(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Version of a model, or the model with --delete.")],
    alias_: Annotated[str, typer.Argument(metavar="ALIAS", help="For example champion.")],
    delete: Annotated[bool, typer.Option("--delete", help="Remove the alias.")] = False,
) -> None:
    """Point an alias at a version of a model, or remove it."""
    cli = context_of(context)
    if delete:
        request = model_pb2.DeleteModelAliasRequest(name=_model_name(name), alias=alias_)
        model = cli.clients.models.DeleteModelAlias(request)
    else:
        version = version_name("models", name)
        model = cli.clients.models.SetModelAlias(
            model_pb2.SetModelAliasRequest(name=version, alias=alias_)
        )
    if cli.as_json:
        cli.print_json([model])
        return
    cli.console.print(f"[bold]{model.name}[/] {_aliases(model) or 'has no alias'}")


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Model, or one of its versions.")],
) -> None:
    """Show a version of a model: metrics, inputs, outputs, files, lineage. Default: the newest."""
    cli = context_of(context)
    version = _get(cli, name)
    if cli.as_json:
        cli.print_json([version])
        return
    _print_version(cli, version)


@app.command()
def download(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Model, or one of its versions.")],
    to: Annotated[Path | None, typer.Option(help="Folder. Default: the model's id.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only these files, for example `onnx`.")
    ] = None,
) -> None:
    """Download the files of a model version, checked against their digests."""
    cli = context_of(context)
    version = _get(cli, name)
    roles = only or sorted(version.artifacts)
    missing = [role for role in roles if role not in version.artifacts]
    if missing:
        there = ", ".join(sorted(version.artifacts))
        raise CliError(f"{version.name} has no {missing[0]}; it has {there}.")
    folder = to or Path(version.name.split("/")[1])
    folder.mkdir(parents=True, exist_ok=True)
    for role in roles:
        path = folder / _FILES.get(role, role)
        download_with_bar(cli, version.artifacts[role], path)
        cli.console.print(f"{path}  {text.size(version.artifacts[role].size_bytes)}")


def _get(cli: CliContext, name: str) -> model_pb2.ModelVersion:
    request = model_pb2.GetModelVersionRequest(name=version_name("models", name))
    return cli.clients.models.GetModelVersion(request)


def _model_name(name: str) -> str:
    return version_name("models", name).partition("/versions/")[0]


def _aliases(model: model_pb2.Model) -> str:
    return ", ".join(f"{alias}={number}" for alias, number in sorted(model.aliases.items()))


def _print_version(cli: CliContext, version: model_pb2.ModelVersion) -> None:
    cli.console.print(f"[bold]{version.name}[/]  {text.moment(version.create_time)}")
    cli.console.print(_kind_of(version))
    for source in version.lineage.inputs:
        cli.console.print(text.harmless(f"from {source}"), markup=False)
    for tensors, way in ((version.signature.inputs, "in"), (version.signature.outputs, "out")):
        for each in tensors:
            shape = ", ".join("rows" if side < 0 else str(side) for side in each.shape)
            told = text.harmless(f"{way}: {each.name} {each.dtype}[{shape}]")
            cli.console.print(told, markup=False)
    metrics = [(key, text.number(value)) for key, value in sorted(version.metrics.items())]
    if metrics:
        cli.print_table(("metric", ">value"), metrics)
    files = [
        (role, text.size(artifact.size_bytes), artifact.uri)
        for role, artifact in sorted(version.artifacts.items())
    ]
    cli.print_table(("file", ">size", "where"), files)


def _kind_of(version: model_pb2.ModelVersion) -> str:
    if version.format == model_pb2.MODEL_FORMAT_DETECTOR:
        return "outlier detector"
    kind = version.network.WhichOneof("kind") or "network"
    task = text.enum_word(dataset_pb2.Task.Name(version.task), "TASK_")
    return f"{kind} for {task}, {version.parameter_count:,} parameters"
