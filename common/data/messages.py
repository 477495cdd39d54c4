"""The schema as the messages of `aimass.catalog.v1` and back."""

from datetime import UTC

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import (
    Column,
    ColumnType,
    NumericStatistics,
    Schema,
    SplitCounts,
    Task,
    TimeRange,
    TimeSeries,
    ValueCount,
)
from common.protobuf import enum_number, enum_short_name

_COLUMN_TYPE = dataset_pb2.ColumnType.DESCRIPTOR
_TASK = dataset_pb2.Task.DESCRIPTOR


def schema_to_proto(schema: Schema) -> dataset_pb2.Schema:
    """Returns the message of a schema."""
    return dataset_pb2.Schema(
        columns=[_column_to_proto(column) for column in schema.columns],
        target=schema.target,
        task=dataset_pb2.Task.ValueType(enum_number(_TASK, schema.task)),
        task_reason=schema.task_reason,
        targets=schema.targets,
        time_series=_series_to_proto(schema.time_series) if schema.time_series else None,
    )


def schema_from_proto(message: dataset_pb2.Schema) -> Schema:
    """Returns the schema of a message. Raises `ValueError` on a type that this release lacks."""
    return Schema(
        columns=tuple(_column_from_proto(column) for column in message.columns),
        target=message.target,
        task=Task(enum_short_name(_TASK, message.task)),
        task_reason=message.task_reason,
        targets=tuple(message.targets),
        time_series=(
            _series_from_proto(message.time_series) if message.HasField("time_series") else None
        ),
    )


def counts_to_proto(counts: SplitCounts) -> dataset_pb2.SplitCounts:
    """Returns the message of a split's counts."""
    return dataset_pb2.SplitCounts(
        train=counts.train, validation=counts.validation, test=counts.test
    )


def _column_to_proto(column: Column) -> dataset_pb2.ColumnSchema:
    message = dataset_pb2.ColumnSchema(
        name=column.name,
        type=dataset_pb2.ColumnType.ValueType(enum_number(_COLUMN_TYPE, column.type)),
        missing_count=column.missing_count,
        shape=column.shape,
        categories=column.categories,
        distinct_count=column.distinct_count,
        numeric=_statistics_to_proto(column.numeric) if column.numeric else None,
        top_values=[
            dataset_pb2.ValueCount(value=top.value, count=top.count) for top in column.top_values
        ],
        text_length=_statistics_to_proto(column.text_length) if column.text_length else None,
    )
    if column.time_range is not None:
        message.time_range.min.FromDatetime(column.time_range.min)
        message.time_range.max.FromDatetime(column.time_range.max)
    return message


def _column_from_proto(message: dataset_pb2.ColumnSchema) -> Column:
    span = message.time_range
    tops = message.top_values
    lengths = message.text_length
    return Column(
        name=message.name,
        type=ColumnType(enum_short_name(_COLUMN_TYPE, message.type)),
        missing_count=message.missing_count,
        shape=tuple(message.shape),
        categories=tuple(message.categories),
        distinct_count=message.distinct_count,
        numeric=_statistics_from_proto(message.numeric) if message.HasField("numeric") else None,
        top_values=tuple(ValueCount(top.value, top.count) for top in tops),
        text_length=_statistics_from_proto(lengths) if message.HasField("text_length") else None,
        time_range=(
            TimeRange(span.min.ToDatetime(tzinfo=UTC), span.max.ToDatetime(tzinfo=UTC))
            if message.HasField("time_range")
            else None
        ),
    )


def _statistics_to_proto(statistics: NumericStatistics) -> dataset_pb2.NumericStatistics:
    return dataset_pb2.NumericStatistics(
        min=statistics.min,
        max=statistics.max,
        mean=statistics.mean,
        stddev=statistics.stddev,
        histogram=statistics.histogram,
        percentiles=statistics.percentiles,
    )


def _statistics_from_proto(message: dataset_pb2.NumericStatistics) -> NumericStatistics:
    return NumericStatistics(
        min=message.min,
        max=message.max,
        mean=message.mean,
        stddev=message.stddev,
        histogram=tuple(message.histogram),
        percentiles=tuple(message.percentiles),
    )


def _series_to_proto(series: TimeSeries) -> dataset_pb2.TimeSeries:
    return dataset_pb2.TimeSeries(
        series_column=series.series_column,
        time_column=series.time_column,
        covariates=series.covariates,
        frequency=series.frequency,
        series_count=series.series_count,
    )


def _series_from_proto(message: dataset_pb2.TimeSeries) -> TimeSeries:
    return TimeSeries(
        time_column=message.time_column,
        series_column=message.series_column,
        covariates=tuple(message.covariates),
        frequency=message.frequency,
        series_count=message.series_count,
    )
