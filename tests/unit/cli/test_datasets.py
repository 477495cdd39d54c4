"""Data sets on the screen, and the request that the options of an import make."""

import io
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from rich.console import Console

from aimass.catalog.v1 import dataset_pb2, lineage_pb2, model_pb2
from aimass.type.v1 import table_pb2
from common.cli import text
from common.cli.context import CliContext
from common.cli.dataset_spec import ImportOptions, import_spec
from common.cli.dataset_views import show_diff, show_rows, show_version
from common.cli.datasets import version_name
from common.cli.errors import CliError
from common.cli.models import _print_version
from common.cli.suite import logs
from common.cli.trace import draw
from common.local.home import SuiteHome
from tests.unit.cli.support import shown_by

HOSTILE = "\x1b]0;title\x07\x9b31m\u202ename"
STEERING = {"\x1b", "\x07", "\x9b", "\u202e"}


@pytest.fixture
def cli(tmp_path: Path) -> CliContext:
    """A context whose output is kept."""
    console = Console(file=io.StringIO(), width=160, highlight=False)
    return CliContext(SuiteHome(tmp_path), console=console)


def version() -> dataset_pb2.DatasetVersion:
    """Returns a version with one column of each kind of statistics."""
    numeric = dataset_pb2.NumericStatistics(min=0, max=10, mean=4, histogram=[1, 0, 8])
    columns = [
        dataset_pb2.ColumnSchema(
            name="x_1/a", type=dataset_pb2.COLUMN_TYPE_NUMERIC, numeric=numeric
        ),
        dataset_pb2.ColumnSchema(
            name="[bold]c",
            type=dataset_pb2.COLUMN_TYPE_CATEGORICAL,
            categories=["a", "b"],
            top_values=[
                dataset_pb2.ValueCount(value="b", count=6),
                dataset_pb2.ValueCount(value="a", count=3),
            ],
            missing_count=1,
        ),
        dataset_pb2.ColumnSchema(
            name="t", type=dataset_pb2.COLUMN_TYPE_TEXT, text_length=numeric, distinct_count=9
        ),
    ]
    schema = dataset_pb2.Schema(columns=columns, task=dataset_pb2.TASK_UNSUPERVISED)
    split = dataset_pb2.SplitSpec(method=dataset_pb2.SPLIT_METHOD_GROUPED, column="g")
    return dataset_pb2.DatasetVersion(
        name="datasets/d/versions/1", row_count=10, schema=schema, split=split
    )


def test_bars() -> None:
    """The highest bin is full, an empty one blank, a small one seen."""
    assert text.bars([1, 0, 100, 50]) == "▁ █▅"
    assert text.bars([]) == text.bars([0, 0]) == ""


def test_cut() -> None:
    """Texts become one line of bounded length."""
    assert text.cut("a\n b", 10) == "a b"
    assert text.cut("abcdef", 4) == "abc…"


def test_data_does_not_steer_the_terminal(cli: CliContext) -> None:
    """Escapes and marks of direction in names and values are shown as what they are not."""
    hostile = HOSTILE
    whole = version()
    whole.schema.target = whole.schema.task_reason = whole.split.column = hostile
    for column in whole.schema.columns:
        column.name = hostile
    whole.schema.columns[1].top_values[0].value = hostile
    show_version(cli, whole, 10)
    table = table_pb2.Table(columns=[table_pb2.Column(name=hostile)])
    table.columns[0].strings.values.append(hostile)
    show_rows(cli, dataset_pb2.PreviewDatasetResponse(table=table, parts=[0], total_rows=1), 0)
    assert "name" in shown_by(cli)
    assert not STEERING & {*shown_by(cli)}


def test_models_and_logs_do_not_steer_the_terminal(cli: CliContext) -> None:
    """The same where a model, its lineage, a run's fields or a log are a stranger's."""
    model = model_pb2.ModelVersion(name="models/m/versions/1")
    model.lineage.inputs.append(HOSTILE)
    model.signature.inputs.add(name=HOSTILE, dtype=HOSTILE)
    model.metrics[HOSTILE] = 1
    _print_version(cli, model)
    cli.print_yaml(dataset_pb2.DatasetImport(labels={"a": HOSTILE}))
    node = lineage_pb2.LineageNode(name=HOSTILE, state=HOSTILE, summary=HOSTILE)
    for tree in draw(lineage_pb2.TraceResponse(name=HOSTILE, nodes=[node])):
        cli.console.print(tree)
    cli.home.create()
    cli.home.log_file("trainer").write_text(f"{HOSTILE}\n")
    before = shown_by(cli)
    assert before.count("name") >= 5
    cli.console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=160)
    logs(MagicMock(find_object=lambda kind: cli), "trainer")
    assert shown_by(cli).count("name") == 1
    assert not STEERING & {*shown_by(cli), *before}


def test_version(cli: CliContext) -> None:
    """Columns are shown by their statistics, names as they are."""
    show_version(cli, version(), most=60)
    shown = shown_by(cli)
    assert "split: grouped by g" in shown
    assert "▂ █" in shown
    assert "b 67%, a 33%" in shown
    assert "[bold]c" in shown
    assert "0 to 10 characters, mean 4" in shown


def test_wide_version(cli: CliContext) -> None:
    """A wide table is cut, and says so."""
    show_version(cli, version(), most=1)
    assert "and 2 more columns" in shown_by(cli)
    assert "[bold]c" not in shown_by(cli)


def test_rows(cli: CliContext) -> None:
    """Rows carry their number and part; missing values are seen; names are as they are."""
    columns = [
        table_pb2.Column(
            name="x_1/a", doubles=table_pb2.DoubleValues(values=[1 / 3, 0]), missing_rows=[1]
        ),
        table_pb2.Column(name="s", strings=table_pb2.StringValues(values=["long " * 30, "[red]"])),
        table_pb2.Column(name="i", blobs=table_pb2.BytesValues(values=[b"12", b"123"])),
    ]
    preview = dataset_pb2.PreviewDatasetResponse(
        table=table_pb2.Table(columns=columns), parts=[0, 1], total_rows=99
    )
    show_rows(cli, preview, 5)
    shown = shown_by(cli)
    for part in (
        "x_1/a",
        "0.333333",
        "·",
        "…",
        "[red]",
        "PNG of 3 B",
        "validation",
        "5 to 6 of 99",
    ):
        assert part in shown


def test_no_rows(cli: CliContext) -> None:
    """An offset behind the end says where the end is."""
    show_rows(cli, dataset_pb2.PreviewDatasetResponse(total_rows=3), 7)
    assert "No rows from 7 on; there are 3." in shown_by(cli)


def test_diff(cli: CliContext) -> None:
    """Only what changed is listed; the rest is counted."""
    kept = dataset_pb2.COLUMN_CHANGE_KEPT
    columns = [
        dataset_pb2.ColumnDiff(name="same", change=kept, psi=0.01),
        dataset_pb2.ColumnDiff(name="moved", change=kept, wasserstein=0.5, drifted=True),
        dataset_pb2.ColumnDiff(name="c", change=kept, psi=0.1, new_categories=list("vwxyz")),
        dataset_pb2.ColumnDiff(
            name="r",
            change=dataset_pb2.COLUMN_CHANGE_RETYPED,
            base_type=dataset_pb2.COLUMN_TYPE_TEXT,
            type=dataset_pb2.COLUMN_TYPE_NUMERIC,
            missing_share=0.5,
        ),
    ]
    show_diff(cli, dataset_pb2.DiffDatasetVersionsResponse(columns=columns, row_count=5), 60)
    shown = shown_by(cli)
    for part in ("(+5)", "0.50 stddev", "new: v, w, x, y, ...", "text → numeric", "0.0% → 50.0%"):
        assert part in shown
    assert "same" not in shown
    assert "1 column without much change" in shown


def test_identical_versions(cli: CliContext) -> None:
    """Equal content is said to be equal."""
    show_diff(cli, dataset_pb2.DiffDatasetVersionsResponse(identical=True), 60)
    assert "The content is the same." in shown_by(cli)


def test_options_of_an_import() -> None:
    """Options land in their fields, and what is not given stays unset."""
    options = ImportOptions(
        targets=["a", "b"],
        format="images",
        task="multi-label",
        column_types=["x=y=numeric"],
        split="grouped",
        split_column="g",
        csv={"delimiter": "tab", "header": False, "missing_values": ["?"], "quote": ""},
        series={"time_column": "", "covariates": []},
    )
    spec = import_spec("datasets/d", options)
    assert list(spec.targets) == ["a", "b"]
    assert not spec.target
    assert spec.format == dataset_pb2.DATA_FORMAT_IMAGE_ZIP
    assert spec.task == dataset_pb2.TASK_MULTI_LABEL
    assert dict(spec.column_types) == {"x=y": dataset_pb2.COLUMN_TYPE_NUMERIC}
    assert (spec.split.method, spec.split.column) == (dataset_pb2.SPLIT_METHOD_GROUPED, "g")
    assert (spec.csv.delimiter, spec.csv.HasField("header")) == ("\t", True)
    assert list(spec.csv.missing_values) == ["?"]
    assert not spec.HasField("time_series")


def test_nothing_given() -> None:
    """Without options everything is left to the service."""
    spec = import_spec("datasets/d", ImportOptions(targets=["y"]))
    assert spec.target == "y"
    assert not spec.HasField("csv")
    assert not spec.split.HasField("seed")


@pytest.mark.parametrize(
    "options",
    [
        ImportOptions(task="guess"),
        ImportOptions(format="docx"),
        ImportOptions(split="fair"),
        ImportOptions(column_types=["x=number"]),
        ImportOptions(column_types=["numeric"]),
    ],
)
def test_wrong_words(options: ImportOptions) -> None:
    """A word that is none of the choices is refused with those there are."""
    with pytest.raises(CliError, match="--"):
        import_spec("datasets/d", options)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("iris", "datasets/iris/versions/latest"),
        ("iris/3", "datasets/iris/versions/3"),
        ("datasets/iris", "datasets/iris/versions/latest"),
        ("datasets/iris/3", "datasets/iris/versions/3"),
        ("iris/versions/2", "datasets/iris/versions/2"),
    ],
)
def test_names_of_versions(given: str, name: str) -> None:
    """Short names stand for full ones."""
    assert version_name("datasets", given) == name
