"""Data sets on the screen: columns with small histograms, rows, differences."""

from collections.abc import Sequence

from aimass.catalog.v1 import dataset_pb2
from aimass.type.v1 import table_pb2
from common.cli import text
from common.cli.context import CliContext

MAX_SHOWN = 60
_SHOWN_VALUES = 4
_LONGEST_VALUE = 24
_LONGEST_CELL = 40
_MISSING = "·"
_PARTS = ("train", "validation", "test")
_MUCH_MISSING = 0.05


def show_version(cli: CliContext, version: dataset_pb2.DatasetVersion, most: int) -> None:
    """Prints a version: counts, task, columns.

    Args:
        cli: Where to.
        version: The version.
        most: Columns to print at most; the rest is counted.
    """
    schema, counts = version.schema, version.split_counts
    cli.console.print(f"[bold]{version.name}[/]  {text.moment(version.create_time)}")
    shards = text.count(len(version.shards), "shard")
    cli.console.print(
        f"{version.row_count:,} rows ({counts.train:,} train, {counts.validation:,} validation, "
        f"{counts.test:,} test), {text.size(version.size_bytes)} in {shards}"
    )
    cli.console.print(text.harmless(f"split: {_split(version.split)}"), markup=False)
    target = f" of {', '.join(schema.targets) or schema.target}" if schema.target else ""
    task = text.enum_word(dataset_pb2.Task.Name(schema.task), "TASK_")
    told = text.harmless(f"{task}{target}: {schema.task_reason}")
    cli.console.print(told, soft_wrap=True, markup=False)
    cli.console.print(f"digest {version.digest}", soft_wrap=True)
    rows = [_column_row(column, version.row_count) for column in schema.columns[:most]]
    cli.print_table(("column", "type", ">missing", ">distinct", "distribution", "values"), rows)
    _tell_rest(cli, len(schema.columns) - most)


def show_rows(cli: CliContext, preview: dataset_pb2.PreviewDatasetResponse, first: int) -> None:
    """Prints rows.

    Args:
        cli: Where to.
        preview: The rows.
        first: Number of the first of them.
    """
    columns = preview.table.columns
    if not preview.parts:
        cli.console.print(f"No rows from {first:,} on; there are {preview.total_rows:,}.")
        return
    names = [f">{each.name}" if _is_number(each) else each.name for each in columns]
    cells = [_cells(each) for each in columns]
    parts = [_PARTS[part] for part in preview.parts]
    numbers = [f"{first + row:,}" for row in range(len(parts))]
    rows = zip(numbers, *cells, parts, strict=True)
    cli.print_table((">row", *names, "part"), rows, verbatim=True)
    last = first + len(parts) - 1
    cli.console.print(f"rows {first:,} to {last:,} of {preview.total_rows:,}")


def show_diff(cli: CliContext, diff: dataset_pb2.DiffDatasetVersionsResponse, most: int) -> None:
    """Prints what differs between two versions.

    Args:
        cli: Where to.
        diff: The differences.
        most: Columns to print at most.
    """
    change = diff.row_count - diff.base_row_count
    cli.console.print(f"{diff.base_row_count:,} rows before, {diff.row_count:,} now ({change:+,})")
    if diff.identical:
        cli.console.print("The content is the same.")
        return
    moved = [column for column in diff.columns if _is_worth_telling(column)]
    if moved:
        rows = [_diff_row(column) for column in moved[:most]]
        cli.print_table(("column", "change", ">missing", ">distance", "categories"), rows)
        _tell_rest(cli, len(moved) - most)
    cli.console.print(f"{text.count(len(diff.columns) - len(moved), 'column')} without much change")


def _tell_rest(cli: CliContext, count: int) -> None:
    if count > 0:
        cli.console.print(f"and {text.count(count, 'more column')}; --all shows them")


def _split(split: dataset_pb2.SplitSpec) -> str:
    word = text.enum_word(dataset_pb2.SplitMethod.Name(split.method), "SPLIT_METHOD_")
    return f"{word} by {split.column}" if split.column else word


def _column_row(column: dataset_pb2.ColumnSchema, rows: int) -> tuple[str, ...]:
    shape = " x ".join(str(side) for side in column.shape)
    return (
        text.cut(column.name, _LONGEST_CELL),
        f"{_type_word(column.type)} {shape}".strip(),
        f"{column.missing_count:,}",
        f"{column.distinct_count:,}",
        text.bars(_histogram(column)),
        _values(column, rows),
    )


def _type_word(number: "dataset_pb2.ColumnType.ValueType") -> str:
    return text.enum_word(dataset_pb2.ColumnType.Name(number), "COLUMN_TYPE_")


def _histogram(column: dataset_pb2.ColumnSchema) -> Sequence[int]:
    if column.HasField("numeric"):
        return column.numeric.histogram
    if column.HasField("text_length"):
        return column.text_length.histogram
    return [each.count for each in column.top_values]


def _values(column: dataset_pb2.ColumnSchema, rows: int) -> str:
    if column.HasField("numeric"):
        low, high, mean = column.numeric.min, column.numeric.max, column.numeric.mean
        return f"{text.number(low)} to {text.number(high)}, mean {text.number(mean)}"
    if column.HasField("time_range"):
        return f"{text.moment(column.time_range.min)} to {text.moment(column.time_range.max)}"
    if column.HasField("text_length"):
        length = column.text_length
        return f"{length.min:.0f} to {length.max:.0f} characters, mean {length.mean:.0f}"
    known = max(1, rows - column.missing_count)
    shown = [
        f"{text.cut(each.value, _LONGEST_VALUE)} {each.count / known:.0%}"
        for each in column.top_values[:_SHOWN_VALUES]
    ] or [text.cut(label, _LONGEST_VALUE) for label in column.categories[:_SHOWN_VALUES]]
    more = len(column.categories) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _is_number(column: table_pb2.Column) -> bool:
    return column.WhichOneof("values") in ("doubles", "integers")


def _cells(column: table_pb2.Column) -> list[str]:
    kind = column.WhichOneof("values")
    if kind is None:
        return []
    values = getattr(column, kind).values
    missing = set(column.missing_rows)
    return [_MISSING if row in missing else _cell(kind, value) for row, value in enumerate(values)]


def _cell(kind: str, value: object) -> str:
    if kind == "doubles" and isinstance(value, float):
        return f"{value:.6g}"
    if kind == "blobs" and isinstance(value, bytes):
        return f"PNG of {text.size(len(value))}"
    return text.cut(str(value), _LONGEST_CELL)


def _is_worth_telling(column: dataset_pb2.ColumnDiff) -> bool:
    missing = abs(column.missing_share - column.base_missing_share) > _MUCH_MISSING
    categories = bool(column.new_categories or column.gone_categories)
    kept = column.change == dataset_pb2.COLUMN_CHANGE_KEPT
    return column.drifted or missing or categories or not kept


def _diff_row(column: dataset_pb2.ColumnDiff) -> tuple[str, ...]:
    lists = (("new", column.new_categories), ("gone", column.gone_categories))
    told = [f"{word}: {_listed(labels)}" for word, labels in lists if labels]
    return (
        text.cut(column.name, _LONGEST_CELL),
        _change(column),
        _missing(column),
        _distance(column),
        "; ".join(told),
    )


def _missing(column: dataset_pb2.ColumnDiff) -> str:
    before, now = f"{column.base_missing_share:.1%}", f"{column.missing_share:.1%}"
    if column.change == dataset_pb2.COLUMN_CHANGE_ADDED or before == now:
        return now
    return before if column.change == dataset_pb2.COLUMN_CHANGE_REMOVED else f"{before} → {now}"


def _change(column: dataset_pb2.ColumnDiff) -> str:
    word = text.enum_word(dataset_pb2.ColumnChange.Name(column.change), "COLUMN_CHANGE_")
    if column.change == dataset_pb2.COLUMN_CHANGE_RETYPED:
        return f"{_type_word(column.base_type)} → {_type_word(column.type)}"
    return "drifted" if column.drifted else word


def _distance(column: dataset_pb2.ColumnDiff) -> str:
    if column.HasField("psi"):
        return f"PSI {column.psi:.2f}"
    return f"{column.wasserstein:.2f} stddev" if column.HasField("wasserstein") else ""


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(text.cut(label, _LONGEST_VALUE) for label in labels[:_SHOWN_VALUES])
    return shown + (", ..." if len(labels) > _SHOWN_VALUES else "")
