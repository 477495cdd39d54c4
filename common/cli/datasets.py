"""`aimass datasets`: data sets and their import."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from aimass.catalog.v1 import dataset_pb2
from common.cli import text
from common.cli.apply import create
from common.cli.context import CliContext, context_of
from common.cli.errors import CliError
from common.cli.follow import follow_or_leave
from common.cli.run_kinds import calls_for
from common.cli.upload import upload_with_bar

app = typer.Typer(help="Data sets: import, list, show.", no_args_is_help=True)
_FORMATS = {
    "": dataset_pb2.DATA_FORMAT_UNSPECIFIED,
    "csv": dataset_pb2.DATA_FORMAT_CSV,
    "npz": dataset_pb2.DATA_FORMAT_NPZ,
    "images": dataset_pb2.DATA_FORMAT_IMAGE_ZIP,
}
_TASKS = {
    "": dataset_pb2.TASK_UNSPECIFIED,
    "classification": dataset_pb2.TASK_CLASSIFICATION,
    "regression": dataset_pb2.TASK_REGRESSION,
    "unsupervised": dataset_pb2.TASK_UNSUPERVISED,
}
_SHOWN_CATEGORIES = 6
T = TypeVar("T")


@app.command("import")
def import_(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="CSV, npz, or zip of images in class folders.")],
    name: Annotated[str, typer.Option(help="Data set to add a version to.")],
    target: Annotated[str, typer.Option(help="Target column. Default: guessed.")] = "",
    task: Annotated[
        str, typer.Option(help=" | ".join(filter(None, _TASKS)) + ". Default: guessed.")
    ] = "",
    format_: Annotated[
        str,
        typer.Option(
            "--format", help=" | ".join(filter(None, _FORMATS)) + ". Default: by the name."
        ),
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="Type of a column, `name=type`: numeric, categorical, boolean, text, ..."
        ),
    ] = None,
    validation: Annotated[
        float | None, typer.Option(help="Share of rows for validation. Default: 0.2.")
    ] = None,
    test: Annotated[float | None, typer.Option(help="Share of rows for test. Default: 0.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split. Default: 0.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once the import is created.")
    ] = False,
) -> None:
    """Upload a file, make a version of a data set from it, and follow the import."""
    cli = context_of(context)
    spec = dataset_pb2.DatasetImportSpec(
        dataset=_full("datasets", name),
        format=_choice("--format", format_, _FORMATS),
        task=_choice("--task", task, _TASKS),
        target=target,
        column_types=dict(_column_type(each) for each in column or ()),
        split=dataset_pb2.SplitSpec(validation_fraction=validation, test_fraction=test, seed=seed),
    )
    spec.upload = upload_with_bar(cli, path)
    request = dataset_pb2.CreateDatasetImportRequest(
        dataset_import=dataset_pb2.DatasetImport(spec=spec)
    )
    created = create(cli, request)
    cli.console.print(f"[bold]{created.name}[/] was created")
    if not detach:
        calls = calls_for(cli.clients, created.name)
        raise typer.Exit(follow_or_leave(calls, created.name, cli.console))


@app.command("list")
def list_(context: typer.Context) -> None:
    """List data sets, newest first."""
    cli = context_of(context)
    found = list(_datasets(cli))
    if cli.as_json:
        cli.print_json(found)
        return
    rows = [(each.name, str(each.latest_version), text.moment(each.create_time)) for each in found]
    cli.print_table(("name", ">latest version", "created"), rows)


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Data set, or one of its versions.")],
) -> None:
    """Show a version of a data set: columns, target, split. Default: the newest version."""
    cli = context_of(context)
    version = cli.clients.datasets.GetDatasetVersion(
        dataset_pb2.GetDatasetVersionRequest(name=version_name("datasets", name))
    )
    if cli.as_json:
        cli.print_json([version])
        return
    _print_version(cli, version)


def version_name(collection: str, text_: str) -> str:
    """Returns the resource name of a version; without a number that of the newest one."""
    name = _full(collection, text_)
    return name if "/versions/" in name else f"{name}/versions/latest"


def _full(collection: str, text_: str) -> str:
    return text_ if text_.startswith(f"{collection}/") else f"{collection}/{text_}"


def _datasets(cli: CliContext) -> Iterator[dataset_pb2.Dataset]:
    request = dataset_pb2.ListDatasetsRequest()
    while True:
        page = cli.clients.datasets.ListDatasets(request)
        yield from page.datasets
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _choice(option: str, word: str, choices: Mapping[str, T]) -> T:
    if word not in choices:
        raise CliError(f"{option}: {word} is none of {', '.join(filter(None, choices))}.")
    return choices[word]


def _column_type(text_: str) -> tuple[str, "dataset_pb2.ColumnType.ValueType"]:
    name, _, word = text_.rpartition("=")
    types = {
        text.enum_word(key, "COLUMN_TYPE_"): value
        for key, value in dataset_pb2.ColumnType.items()
        if value
    }
    if not name or word not in types:
        raise CliError(f"--column: expected name=type with a type of {', '.join(types)}.")
    return name, types[word]


def _print_version(cli: CliContext, version: dataset_pb2.DatasetVersion) -> None:
    schema, counts = version.schema, version.split_counts
    task = text.enum_word(dataset_pb2.Task.Name(schema.task), "TASK_")
    cli.console.print(f"[bold]{version.name}[/]  {text.moment(version.create_time)}")
    shards = text.count(len(version.shards), "shard")
    cli.console.print(
        f"{version.row_count:,} rows ({counts.train:,} train, {counts.validation:,} validation, "
        f"{counts.test:,} test), {text.size(version.size_bytes)} in {shards}"
    )
    target = f" of {schema.target}" if schema.target else ""
    cli.console.print(f"{task}{target}: {schema.task_reason}", soft_wrap=True, markup=False)
    cli.console.print(f"digest {version.digest}", soft_wrap=True)
    rows = [_column_row(column) for column in schema.columns]
    cli.print_table(("column", "type", ">missing", ">distinct", "values"), rows)


def _column_row(column: dataset_pb2.ColumnSchema) -> tuple[str, str, str, str, str]:
    word = text.enum_word(dataset_pb2.ColumnType.Name(column.type), "COLUMN_TYPE_")
    shape = " x ".join(str(side) for side in column.shape)
    return (
        column.name,
        f"{word} {shape}".strip(),
        f"{column.missing_count:,}",
        f"{column.distinct_count:,}",
        _values(column),
    )


def _values(column: dataset_pb2.ColumnSchema) -> str:
    if column.categories:
        shown = ", ".join(column.categories[:_SHOWN_CATEGORIES])
        return shown + (", ..." if len(column.categories) > _SHOWN_CATEGORIES else "")
    if column.HasField("numeric"):
        low, high, mean = column.numeric.min, column.numeric.max, column.numeric.mean
        return f"{text.number(low)} to {text.number(high)}, mean {text.number(mean)}"
    return ""
