"""The one declaration of what an import can be asked for: types, ranges, defaults."""

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from common.data.schema import ColumnType, Task
from common.errors import InvalidFieldError
from common.names import DatasetName, UploadName
from common.wording import quoted
from services.catalog.domain import fields
from services.catalog.domain.formats import LOOKS, DataFormat


class SplitMethod(StrEnum):
    """How a split is chosen, named as in `aimass.catalog.v1.SplitMethod`."""

    RANDOM = "random"
    STRATIFIED = "stratified"
    GROUPED = "grouped"
    TEMPORAL = "temporal"


_ENDINGS = {ending: name for name, looks in LOOKS.items() for ending in looks.endings}
_COMPRESSED = (".gz", ".zst")
# What is in them decides.
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.zst")
_DECIMALS = (".", ",")

Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitSpec(_Model):
    """How rows are assigned to train, validation and test.

    Attributes:
        method: None for the default: stratified where the task is classification, else random.
        validation_fraction: Share of rows for validation.
        test_fraction: Share of rows for test.
        seed: Of the random choice.
        column: Column of groups or times; empty for the only one of times, or where the method
            needs none.
    """

    method: SplitMethod | None = None
    validation_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    column: Annotated[str, Field(validate_default=True)] = ""

    @field_validator("column")
    @classmethod
    def _check_column(cls, column: str, others: ValidationInfo) -> str:
        if "method" not in others.data:  # it is wrong itself
            return column
        method = others.data["method"]
        if method is SplitMethod.GROUPED and not column:
            raise ValueError("a grouped split needs the column that says which group a row is of")
        if column and method not in (SplitMethod.GROUPED, SplitMethod.TEMPORAL):
            raise ValueError(
                "is for SPLIT_METHOD_GROUPED and SPLIT_METHOD_TEMPORAL only; leave it out, or "
                "choose one of them as `method`"
            )
        return column

    @model_validator(mode="after")
    def _check_sum(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                "validation_fraction and test_fraction together must be below 1, so that rows to "
                "train on are left"
            )
        return self


class CsvOptions(_Model):
    """How a CSV file is to be read; what is empty or None is found out from the file.

    Attributes:
        delimiter: One character between fields.
        quote: One character around fields that hold a delimiter.
        encoding: Name of a text encoding that Python knows.
        header: Whether the first line names the columns.
        decimal_separator: Before decimals, `.` or `,`.
        missing_values: Texts that stand for a missing value, besides the empty field and `NaN`.
    """

    delimiter: Annotated[str, Field(max_length=1)] = ""
    quote: Annotated[str, Field(max_length=1)] = ""
    encoding: Annotated[str, Field(max_length=40)] = ""
    header: bool | None = None
    decimal_separator: str = ""
    missing_values: Annotated[list[str], Field(max_length=100)] = []

    @field_validator("delimiter", "quote")
    @classmethod
    def _check_character(cls, value: str) -> str:
        if value and (not value.isascii() or value.isalnum() or value in ".\r\n\0"):
            text = "must be one ASCII character, no letter, digit or dot"
            raise ValueError(f"{text}; it is {quoted(value)}")
        return value

    @field_validator("decimal_separator")
    @classmethod
    def _check_decimals(cls, value: str) -> str:
        if value and value not in _DECIMALS:
            raise ValueError(f"must be `.` or `,`, not {quoted(value)}")
        return value

    @model_validator(mode="after")
    def _check_difference(self) -> Self:
        if self.delimiter and self.delimiter == (self.quote or '"'):
            raise ValueError("delimiter and quote must differ")
        return self


class TimeSeriesSpec(_Model):
    """Which columns make the data time series in long format.

    Attributes:
        time_column: Timestamp column.
        series_column: Says which series a row belongs to; empty where there is only one.
        covariates: Columns known ahead or measured alongside; empty for all that are left.
        frequency: Found out; what is given is not looked at.
        series_count: Found out; what is given is not looked at.
    """

    time_column: Annotated[str, Field(min_length=1)]
    series_column: str = ""
    covariates: list[str] = []
    frequency: str = ""
    series_count: int = 0

    @property
    def columns(self) -> set[str]:
        """The columns that are named."""
        return {self.time_column, self.series_column, *self.covariates} - {""}


class ImportSpec(_Model):
    """What to import, and how.

    Attributes:
        dataset: Name of the data set.
        upload: Name of the upload; empty where `uri` is given.
        uri: Object or prefix of the store, instead of an upload.
        format: File format; None to go by the upload's file name.
        target: Target column; empty to guess.
        task: None to guess from the target.
        column_types: Types by column, where the guess is not wanted.
        split: How to split.
        targets: Target columns of multi-label data, instead of `target`.
        csv: How to read CSV.
        time_series: Columns of time series; None where the data is none.
        append: Whether the rows are added to those of the newest version.
    """

    dataset: str
    upload: str = ""
    uri: Annotated[str, Field(max_length=2048)] = ""
    format: DataFormat | None = None
    target: str = ""
    task: Task | None = None
    column_types: dict[str, ColumnType] = {}
    split: SplitSpec = SplitSpec()
    targets: list[str] = []
    csv: CsvOptions = CsvOptions()
    time_series: TimeSeriesSpec | None = None
    append: bool = False


def check_spec(spec: ImportSpec) -> None:
    """Checks what the types of the fields do not say, as far as it needs no data.

    Raises:
        InvalidFieldError: Names the field.
    """
    DatasetName.from_name(spec.dataset, fields.DATASET)
    if spec.upload and spec.uri:
        raise InvalidFieldError(fields.URI, "must be left out where there is an upload")
    if not spec.upload and not spec.uri:
        raise InvalidFieldError(fields.UPLOAD, "or `uri` must be given: what is to be imported")
    if not spec.uri:
        UploadName.from_name(spec.upload, fields.UPLOAD)
    stratified = spec.split.method is SplitMethod.STRATIFIED
    if stratified and spec.task not in (None, Task.CLASSIFICATION):
        raise InvalidFieldError(
            f"{fields.SPLIT}.method",
            f"a stratified split needs classes, which {spec.task} has not; choose a random split",
        )
    if spec.task is Task.UNSUPERVISED and spec.target:
        raise InvalidFieldError(
            fields.TARGET,
            "an unsupervised task has no target; leave it out or choose another task",
        )
    _check_targets(spec)
    _check_series(spec)
    forced = spec.column_types.get(spec.target)
    if spec.task is Task.REGRESSION and forced not in (None, ColumnType.NUMERIC):
        raise InvalidFieldError(
            fields.COLUMN_TYPES,
            f"`{spec.target}` is the target of a regression and cannot be {forced}; use numeric",
            reason="BAD_COLUMN_TYPE",
        )


def _check_targets(spec: ImportSpec) -> None:
    if spec.targets and spec.target:
        raise InvalidFieldError(
            fields.TARGETS, "stands instead of `target`, which is set too; give one of them"
        )
    if spec.targets and len(set(spec.targets)) != max(2, len(spec.targets)):
        raise InvalidFieldError(
            fields.TARGETS, "must name two or more different columns; for one use `target`"
        )
    multi = spec.task is Task.MULTI_LABEL
    if multi != bool(spec.targets) and (multi or spec.task is not None):
        raise InvalidFieldError(
            fields.TARGETS, "belong to the task TASK_MULTI_LABEL: give both, or the targets alone"
        )


def _check_series(spec: ImportSpec) -> None:
    series = spec.time_series
    if series is None:
        if spec.task is Task.FORECASTING:
            raise InvalidFieldError(
                f"{fields.TIME_SERIES}.time_column", "must be given for the task forecasting"
            )
        return
    if spec.targets or spec.task not in (None, Task.FORECASTING):
        raise InvalidFieldError(
            fields.TIME_SERIES,
            "is for the task forecasting with one target; leave it out, or task and targets",
        )
    names = [spec.target, series.time_column, series.series_column, *series.covariates]
    given = [name for name in names if name]
    if len(set(given)) < len(given):
        raise InvalidFieldError(
            fields.TIME_SERIES,
            "names a column twice; target, time, series and covariates must differ",
        )


def resolve_format(spec: ImportSpec, filename: str) -> DataFormat | None:
    """Returns the file format, from the specification or the upload's file name.

    None stands for an archive of images or texts: what is in it decides.

    Raises:
        InvalidFieldError: Neither tells.
    """
    if spec.format is not None:
        return spec.format
    if filename.lower().endswith(_ARCHIVES):
        return None
    name = PurePosixPath(filename.lower())
    if name.suffix in _COMPRESSED:
        name = name.with_suffix("")
    found = _ENDINGS.get(name.suffix)
    if found is None:
        endings = ", ".join((*_ENDINGS, *_ARCHIVES))
        raise InvalidFieldError(
            fields.FORMAT,
            f"cannot be told from the file name `{filename}`, which ends in none of {endings}; "
            "give the format",
        )
    return found
