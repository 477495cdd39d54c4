"""What is known of rows before a scan: a column of labels, and feedback on earlier scans."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.artifacts import ObjectStore
from common.calls.catalog import ask_catalog
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns
from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType, Schema, require_column
from common.errors import FailedPreconditionError, InvalidFieldError
from services.outlier.domain.detectors.supervised import ANOMALY, NORMAL, UNKNOWN, Labels
from services.outlier.domain.labelling import KnownLabels, LabelledRows
from services.outlier.domain.specification import KnownLabels as LabelColumn
from services.outlier.domain.specification import ScanSpecification
from services.outlier.domain.table import read_rows
from services.outlier.rows import raw_rows
from services.outlier.stored import StoredTable

Feedback = Sequence[tuple[outlier_pb2.OutlierFeedback, scorer_pb2.LabelledRows]]


def read_known(
    specification: ScanSpecification,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    feedback: Feedback,
    warn: Callable[[str], None],
    watch: Callable[[int], None],
) -> KnownLabels:
    """Returns all that is known of rows. What was reported last of a row counts.

    Args:
        specification: What the scan is told.
        version: The scanned data.
        store: Where it is.
        feedback: On the data set, the oldest first.
        warn: Told of feedback that is left out because it does not fit the data any more.
        watch: Told how many rows of some data have been read; may raise to stop.
    """
    of_table = np.full(version.row_count, UNKNOWN, np.int8)
    if specification.known_labels is not None:
        of_table = _column_labels(specification.known_labels, version, store, watch)
    schema, names = schema_from_proto(version.schema), specification.columns
    elsewhere: list[LabelledRows] = []
    with_rows = [(report, rows) for report, rows in feedback if not report.dataset_version]
    for report, rows in with_rows:
        with _warning(report.name, warn):
            raw = raw_rows(rows.rows, schema, names, report.name)
            elsewhere.append(LabelledRows(raw, _of_truths(rows.anomalous)))
    for name, labelled in _by_version(feedback).items():
        numbers = np.array(list(labelled), np.int64)
        labels = _of_truths(list(labelled.values()))
        if name == version.name:
            of_table[numbers] = labels
            continue
        with _warning(f"Feedback on {name}", warn):
            table = _other_table(name, schema, names, store)
            elsewhere.append(LabelledRows(read_rows(table, numbers, watch), labels))
    return KnownLabels(
        of_table if (of_table != UNKNOWN).any() else None,
        _joined(elsewhere) if elsewhere else None,
    )


def _by_version(feedback: Feedback) -> dict[str, dict[int, bool]]:
    """Returns what is known of rows by number, for each data set version."""
    found: dict[str, dict[int, bool]] = {}
    for report, rows in feedback:
        if report.dataset_version:
            labelled = zip(rows.row_numbers, rows.anomalous, strict=True)
            found.setdefault(report.dataset_version, {}).update(labelled)
    return found


def _of_truths(anomalous: Sequence[bool]) -> Labels:
    return np.where(anomalous, ANOMALY, NORMAL).astype(np.int8)


@contextmanager
def _warning(what: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Leaves out feedback that does not fit."""
    try:
        yield
    except (InvalidFieldError, FailedPreconditionError) as error:
        warn(f"{what} is left out, for it does not fit the data: {error}")


def _column_labels(
    known: LabelColumn,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    watch: Callable[[int], None],
) -> Labels:
    column = schema_from_proto(version.schema).column(known.column)
    parts: list[Labels] = []
    for batch in stream_columns(version, store, [column.name]):
        parts.append(_labels(column, known, batch.columns[column.name]))
        watch(batch.row_count)
    return np.concatenate(parts)


def _labels(column: Column, known: LabelColumn, values: Values) -> Labels:
    if column.type is ColumnType.NUMERIC:
        numbers = values.astype(np.float64)
        return np.where(np.isnan(numbers), UNKNOWN, numbers != 0).astype(np.int8)
    if column.type is ColumnType.BOOLEAN:
        return values.astype(np.int8)  # missing is -1, as unknown is
    meaning = np.array([label in known.anomalies for label in column.labels] + [UNKNOWN], np.int8)
    found: npt.NDArray[np.int8] = meaning[values.astype(np.int64)]
    return found


def _other_table(
    version: str, schema: Schema, names: Sequence[str], store: ObjectStore
) -> StoredTable:
    """Returns another version of the data, on which rows were reported by number.

    Raises:
        InvalidFieldError: Its columns are others.
        FailedPreconditionError: It is gone.
    """
    other = ask_catalog(lambda catalog: catalog.dataset_version(version))
    former = schema_from_proto(other.schema)
    for name in names:
        now, then = schema.column(name), require_column(former, name, version)
        if (now.type, now.shape) != (then.type, then.shape):
            raise InvalidFieldError(version, f"`{name}` was {then.type} in it")
    return StoredTable(other, store, names)


def _joined(pieces: Sequence[LabelledRows]) -> LabelledRows:
    """Returns all rows, their codes counted alike."""
    names = list(pieces[0].raw.columns)
    columns: dict[str, Values] = {}
    labels: dict[str, Sequence[str]] = {}
    for name in names:
        if name in pieces[0].raw.labels:
            columns[name], labels[name] = _recoded([piece.raw for piece in pieces], name)
        else:
            columns[name] = np.concatenate([piece.raw.columns[name] for piece in pieces])
    return LabelledRows(RawRows(columns, labels), np.concatenate([each.labels for each in pieces]))


def _recoded(pieces: Sequence[RawRows], name: str) -> tuple[Values, Sequence[str]]:
    places: dict[str, int] = {}
    codes = np.concatenate(list(_codes(pieces, name, places)))
    return codes, tuple(places)


def _codes(pieces: Sequence[RawRows], name: str, places: dict[str, int]) -> Iterator[Values]:
    for piece in pieces:
        codes = [places.setdefault(label, len(places)) for label in piece.labels[name]]
        yield np.array([*codes, -1], np.int32)[piece.columns[name].astype(np.int64)]
