"""The schema as the messages of `aimass.catalog.v1` and back."""

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import Column, ColumnType, NumericStatistics, Schema, SplitCounts, Task
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
    )


def schema_from_proto(message: dataset_pb2.Schema) -> Schema:
    """Returns the schema of a message. Raises `ValueError` on a type that this release lacks."""
    return Schema(
        columns=tuple(_column_from_proto(column) for column in message.columns),
        target=message.target,
        task=Task(enum_short_name(_TASK, message.task)),
        task_reason=message.task_reason,
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
    )
    if column.numeric is not None:
        statistics = column.numeric
        message.numeric.CopyFrom(
            dataset_pb2.NumericStatistics(
                min=statistics.min,
                max=statistics.max,
                mean=statistics.mean,
                stddev=statistics.stddev,
            )
        )
    return message


def _column_from_proto(message: dataset_pb2.ColumnSchema) -> Column:
    statistics = message.numeric
    numeric = NumericStatistics(
        min=statistics.min, max=statistics.max, mean=statistics.mean, stddev=statistics.stddev
    )
    return Column(
        name=message.name,
        type=ColumnType(enum_short_name(_COLUMN_TYPE, message.type)),
        missing_count=message.missing_count,
        shape=tuple(message.shape),
        categories=tuple(message.categories),
        distinct_count=message.distinct_count,
        numeric=numeric if message.HasField("numeric") else None,
    )
