"""The request of an import from the options of the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.descriptor import EnumDescriptor

from aimass.catalog.v1 import dataset_pb2
from common.cli import text
from common.cli.errors import CliError

FORMATS = dataset_pb2.DataFormat.DESCRIPTOR
TASKS = dataset_pb2.Task.DESCRIPTOR
COLUMN_TYPES = dataset_pb2.ColumnType.DESCRIPTOR
SPLITS = dataset_pb2.SplitMethod.DESCRIPTOR

_FORMAT_ALIASES = {"images": "image_zip", "texts": "text_archive", "jsonl": "json_lines"}
_TAB = ("tab", "\\t")


@dataclass(frozen=True)
class ImportOptions:
    """What can be said of an import; what is empty or None is left to the service.

    Attributes:
        targets: Target columns.
        task: Word of `Task`.
        format: Word of `DataFormat`.
        column_types: `name=type` each.
        split: Word of `SplitMethod`.
        split_column: Column of groups or times.
        validation: Share of rows.
        test: Share of rows.
        seed: Of the split.
        csv: Fields of `CsvOptions`.
        series: Fields of `TimeSeries`.
    """

    targets: Sequence[str] = ()
    task: str = ""
    format: str = ""
    column_types: Sequence[str] = ()
    split: str = ""
    split_column: str = ""
    validation: float | None = None
    test: float | None = None
    seed: int | None = None
    csv: Mapping[str, object] = field(default_factory=dict)
    series: Mapping[str, object] = field(default_factory=dict)


def import_spec(dataset: str, options: ImportOptions) -> dataset_pb2.DatasetImportSpec:
    """Returns the specification of an import, without where the data comes from.

    Args:
        dataset: Resource name of the data set.
        options: The options.

    Raises:
        CliError: An option has a word that is none of its choices.
    """
    targets = list(options.targets)
    spec = dataset_pb2.DatasetImportSpec(
        dataset=dataset,
        format=dataset_pb2.DataFormat.ValueType(
            choice("--format", options.format, FORMATS, _FORMAT_ALIASES)
        ),
        task=dataset_pb2.Task.ValueType(choice("--task", options.task, TASKS)),
        target=targets[0] if len(targets) == 1 else "",
        targets=targets if len(targets) > 1 else [],
        column_types=dict(_column_type(each) for each in options.column_types),
    )
    method = choice("--split", options.split, SPLITS)
    split = {
        "method": method or None,
        "column": options.split_column,
        "validation_fraction": options.validation,
        "test_fraction": options.test,
        "seed": options.seed,
    }
    _set_given(spec, "split", split)
    _set_given(spec, "csv", options.csv)
    _set_given(spec, "time_series", options.series)
    if spec.csv.delimiter in _TAB:
        spec.csv.delimiter = "\t"
    return spec


def choice(
    option: str, word: str, enum: EnumDescriptor, aliases: Mapping[str, str] | None = None
) -> int:
    """Returns the number of an enum's value by its word, 0 for none.

    Raises:
        CliError: There is no such word; names those there are.
    """
    known = words(enum)
    plain = word.lower().replace("-", "_")
    plain = (aliases or {}).get(plain, plain)
    if plain and plain not in known:
        raise CliError(f"{option}: {word} is none of {', '.join(known)}.")
    return known.get(plain, 0)


def words(enum: EnumDescriptor) -> dict[str, int]:
    """Returns the numbers of an enum's values by their words, without the unspecified one."""
    prefix = str(enum.values_by_number[0].name).removesuffix("UNSPECIFIED")
    return {text.enum_word(each.name, prefix): each.number for each in enum.values if each.number}


def _set_given(spec: dataset_pb2.DatasetImportSpec, name: str, given: Mapping[str, object]) -> None:
    """Sets a message's fields to what is given, and leaves it unset where nothing is."""
    for key, value in given.items():
        if value in ("", None, []):
            continue
        message = getattr(spec, name)
        if isinstance(value, list):
            getattr(message, key).extend(value)
        else:
            setattr(message, key, value)


def _column_type(text_: str) -> tuple[str, "dataset_pb2.ColumnType.ValueType"]:
    name, _, word = text_.rpartition("=")
    types = words(COLUMN_TYPES)
    if not name or word not in types:
        raise CliError(f"--column: expected name=type with a type of {', '.join(types)}.")
    return name, dataset_pb2.ColumnType.ValueType(types[word])
