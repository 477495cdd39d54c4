"""`aimass datasets`: data sets and their import."""

from pathlib import Path
from typing import Annotated

import typer

from aimass.catalog.v1 import dataset_pb2
from common.cli import text
from common.cli.apply import create
from common.cli.context import CliContext, context_of
from common.cli.dataset_spec import (
    COLUMN_TYPES,
    FORMATS,
    SPLITS,
    TASKS,
    ImportOptions,
    import_spec,
    words,
)
from common.cli.dataset_views import MAX_SHOWN, show_diff, show_rows, show_version
from common.cli.errors import CliError
from common.cli.follow import follow_or_leave
from common.cli.paging import listed
from common.cli.run_kinds import calls_for
from common.cli.upload import upload_with_bar

app = typer.Typer(help="Data sets: import, list, show, preview, diff.", no_args_is_help=True)

_SPLIT, _CSV, _SERIES = "Split", "CSV, where what is found in the file is wrong", "Time series"
_MOST_PREVIEWED = 12
_VERSION_HELP = "Data set such as iris, or a version such as iris/3."


@app.command("import")
def import_(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(help="File with a table, arrays, or an archive; or s3://bucket/prefix/."),
    ],
    name: Annotated[str, typer.Option(help="Data set to add a version to.")],
    target: Annotated[
        list[str] | None,
        typer.Option(help="Target column, again for each of several. Default: guessed."),
    ] = None,
    task: Annotated[str, typer.Option(help=" | ".join(words(TASKS)) + ". Default: guessed.")] = "",
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help=" | ".join(words(FORMATS)) + ". Default: by the name.",
        ),
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(help="Type of a column, `name=type`: " + ", ".join(words(COLUMN_TYPES)) + "."),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help=" | ".join(words(SPLITS)) + ". Default: by the task.",
            rich_help_panel=_SPLIT,
        ),
    ] = "",
    split_column: Annotated[
        str, typer.Option(help="Column of groups or times.", rich_help_panel=_SPLIT)
    ] = "",
    validation: Annotated[
        float | None,
        typer.Option(help="Share of rows for validation. Default: 0.2.", rich_help_panel=_SPLIT),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(help="Share of rows for test. Default: 0.", rich_help_panel=_SPLIT),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed. Default: 0.", rich_help_panel=_SPLIT)
    ] = None,
    delimiter: Annotated[
        str, typer.Option(help="Between fields; `tab` for a tab.", rich_help_panel=_CSV)
    ] = "",
    quote: Annotated[str, typer.Option(help="Around fields.", rich_help_panel=_CSV)] = "",
    encoding: Annotated[
        str, typer.Option(help="For example utf-8, latin-1.", rich_help_panel=_CSV)
    ] = "",
    header: Annotated[
        bool | None,
        typer.Option(help="Whether the first line names the columns.", rich_help_panel=_CSV),
    ] = None,
    decimal: Annotated[
        str, typer.Option(help="Before decimals, `.` or `,`.", rich_help_panel=_CSV)
    ] = "",
    missing: Annotated[
        list[str] | None,
        typer.Option(help="Text that stands for a missing value.", rich_help_panel=_CSV),
    ] = None,
    time: Annotated[str, typer.Option(help="Column of times.", rich_help_panel=_SERIES)] = "",
    series: Annotated[
        str, typer.Option(help="Column that says which series.", rich_help_panel=_SERIES)
    ] = "",
    covariate: Annotated[
        list[str] | None,
        typer.Option(help="Column known alongside. Default: the rest.", rich_help_panel=_SERIES),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add the rows to those of the newest version.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once the import is created.")
    ] = False,
) -> None:
    """Make a version of a data set from a file, which is uploaded, and follow the import."""
    cli = context_of(context)
    options = ImportOptions(
        targets=target or (),
        task=task,
        format=format_,
        column_types=column or (),
        split=split,
        split_column=split_column,
        validation=validation,
        test=test,
        seed=seed,
        csv={
            "delimiter": delimiter,
            "quote": quote,
            "encoding": encoding,
            "header": header,
            "decimal_separator": decimal,
            "missing_values": missing or [],
        },
        series={"time_column": time, "series_column": series, "covariates": covariate or []},
    )
    spec = import_spec(_full("datasets", name), options)
    spec.append = append
    if source.startswith("s3://"):
        spec.uri = source
    else:
        spec.upload = upload_with_bar(cli, Path(source))
    raise typer.Exit(_start(cli, spec, detach))


def _start(cli: CliContext, spec: dataset_pb2.DatasetImportSpec, detach: bool) -> int:
    """Creates an import and follows it. Returns the exit code."""
    request = dataset_pb2.CreateDatasetImportRequest(
        dataset_import=dataset_pb2.DatasetImport(spec=spec)
    )
    created = create(cli, request)
    cli.console.print(f"[bold]{created.name}[/] was created")
    if detach:
        return 0
    return follow_or_leave(calls_for(cli.clients, created.name), created.name, cli.console)


@app.command("list")
def list_(context: typer.Context) -> None:
    """List data sets, newest first."""
    cli = context_of(context)
    request = dataset_pb2.ListDatasetsRequest()
    found = listed(cli.clients.datasets.ListDatasets, request, "datasets")
    if cli.as_json:
        cli.print_json(found)
        return
    rows = [(each.name, str(each.latest_version), text.moment(each.create_time)) for each in found]
    cli.print_table(("name", ">latest version", "created"), rows)


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=_VERSION_HELP)],
    all_: Annotated[bool, typer.Option("--all", help="All columns of a wide table.")] = False,
) -> None:
    """Show a version of a data set: columns, target, split. Default: the newest version."""
    cli = context_of(context)
    version = cli.clients.datasets.GetDatasetVersion(
        dataset_pb2.GetDatasetVersionRequest(name=version_name("datasets", name))
    )
    if cli.as_json:
        cli.print_json([version])
        return
    show_version(cli, version, len(version.schema.columns) if all_ else MAX_SHOWN)


@app.command()
def preview(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=_VERSION_HELP)],
    rows: Annotated[int, typer.Option(help="How many rows.")] = 20,
    offset: Annotated[int, typer.Option(help="First row, from 0.")] = 0,
    column: Annotated[
        list[str] | None,
        typer.Option(help=f"Column to show, again for more. Default: the first {_MOST_PREVIEWED}."),
    ] = None,
) -> None:
    """Show rows of a version. Default: the first ones of the newest version."""
    cli = context_of(context)
    full = version_name("datasets", name)
    request = dataset_pb2.PreviewDatasetRequest(
        name=full, offset=offset, row_count=rows, columns=column or []
    )
    if not column and not cli.as_json:
        version = cli.clients.datasets.GetDatasetVersion(
            dataset_pb2.GetDatasetVersionRequest(name=full)
        )
        request.name = version.name
        names = [each.name for each in version.schema.columns]
        request.columns.extend(names[:_MOST_PREVIEWED])
        _tell_left_out(cli, names[_MOST_PREVIEWED:])
    answer = cli.clients.datasets.PreviewDataset(request)
    if cli.as_json:
        cli.print_json([answer])
        return
    show_rows(cli, answer, offset)


@app.command()
def diff(
    context: typer.Context,
    base: Annotated[str, typer.Argument(help="Older version; a data set for its newest two.")],
    name: Annotated[str, typer.Argument(help="Newer version.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="All columns of a wide table.")] = False,
) -> None:
    """Show what differs between two versions: columns, rows, distributions."""
    cli = context_of(context)
    if name:
        pair = version_name("datasets", base), version_name("datasets", name)
    else:
        pair = _newest_two(cli, _full("datasets", base))
    answer = cli.clients.datasets.DiffDatasetVersions(
        dataset_pb2.DiffDatasetVersionsRequest(base=pair[0], name=pair[1])
    )
    if cli.as_json:
        cli.print_json([answer])
        return
    cli.console.print(f"[bold]{pair[0]}[/] → [bold]{pair[1]}[/]")
    show_diff(cli, answer, len(answer.columns) if all_ else MAX_SHOWN)


def version_name(collection: str, text_: str) -> str:
    """Returns the resource name of a version.

    Args:
        collection: `datasets` or `models`.
        text_: A full name, or `iris/3`, or `iris` for the newest version; of a model also
            `iris@champion`, by its alias.
    """
    name = _full(collection, text_)
    if "/versions/" in name or "@" in name:
        return name
    parent, _, number = name.rpartition("/")
    if number.isdigit() and "/" in parent:
        return f"{parent}/versions/{number}"
    return f"{name}/versions/latest"


def _full(collection: str, text_: str) -> str:
    return text_ if text_.startswith(f"{collection}/") else f"{collection}/{text_}"


def _tell_left_out(cli: CliContext, names: list[str]) -> None:
    if names:
        left_out = text.harmless(text.cut(", ".join(names), 60))
        cli.console.print(
            f"without {text.count(len(names), 'column')} ({left_out}); --column shows them",
            markup=False,
        )


def _newest_two(cli: CliContext, dataset: str) -> tuple[str, str]:
    request = dataset_pb2.ListDatasetVersionsRequest(parent=dataset, page_size=2)
    found = cli.clients.datasets.ListDatasetVersions(request).dataset_versions
    if len(found) < 2:
        raise CliError(f"{dataset} has a single version; name another to compare it with.")
    return found[1].name, found[0].name
