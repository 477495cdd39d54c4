"""`aimass models`: models in the catalog."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.cli import text
from common.cli.context import CliContext, context_of
from common.cli.datasets import version_name
from common.cli.errors import CliError
from common.cli.upload import download_with_bar

app = typer.Typer(help="Models: list, show, download.", no_args_is_help=True)
_FILES = {
    "environment": "environment.json",
    "history": "history.parquet",
    "onnx": "model.onnx",
    "preprocessing": "preprocessing.json",
    "samples": "samples.safetensors",
    "specification": "specification.json",
    "weights": "weights.safetensors",
}


@app.command("list")
def list_(context: typer.Context) -> None:
    """List models, newest first."""
    cli = context_of(context)
    found = list(_models(cli))
    if cli.as_json:
        cli.print_json(found)
        return
    rows = [(each.name, str(each.latest_version), text.moment(each.create_time)) for each in found]
    cli.print_table(("name", ">latest version", "created"), rows)


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


def _models(cli: CliContext) -> Iterator[model_pb2.Model]:
    request = model_pb2.ListModelsRequest()
    while True:
        page = cli.clients.models.ListModels(request)
        yield from page.models
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _print_version(cli: CliContext, version: model_pb2.ModelVersion) -> None:
    kind = version.network.WhichOneof("kind") or "network"
    task = text.enum_word(dataset_pb2.Task.Name(version.task), "TASK_")
    cli.console.print(f"[bold]{version.name}[/]  {text.moment(version.create_time)}")
    cli.console.print(f"{kind} for {task}, {version.parameter_count:,} parameters")
    for source in version.lineage.inputs:
        cli.console.print(f"from {source}")
    for tensors, way in ((version.signature.inputs, "in"), (version.signature.outputs, "out")):
        for each in tensors:
            shape = ", ".join("rows" if side < 0 else str(side) for side in each.shape)
            cli.console.print(f"{way}: {each.name} {each.dtype}[{shape}]", markup=False)
    metrics = [(key, text.number(value)) for key, value in sorted(version.metrics.items())]
    cli.print_table(("metric", ">value"), metrics)
    files = [
        (role, text.size(artifact.size_bytes), artifact.uri)
        for role, artifact in sorted(version.artifacts.items())
    ]
    cli.print_table(("file", ">size", "where"), files)
