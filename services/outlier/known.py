"""What is known of rows before a scan: a column of labels, and feedback on earlier scans."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.artifacts import ObjectStore
from common.catalog import ask_catalog
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns
from common.data.schema import Column, ColumnType, require_column
from common.errors import FailedPreconditionError, InvalidFieldError
from services.outlier.domain.detectors.supervised import ANOMALY, NORMAL, UNKNOWN, Labels
from services.outlier.domain.labelling import KnownLabels, LabelledRows
from services.outlier.domain.preparation.raw import RawRows, Values
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
) -> KnownLabels:
    """Returns all that is known of rows. What was reported last of a row counts.

    Args:
        specification: What the scan is told.
        version: The scanned data.
        store: Where it is.
        feedback: On the data set, the oldest first.
        warn: Told of feedback that is left out because it does not fit the data any more.
    """
    of_table = np.full(version.row_count, UNKNOWN, np.int8)
    if specification.known_labels is not None:
        of_table = _column_labels(specification.known_labels, version, store)
    elsewhere: list[LabelledRows] = []
    for report, rows in feedback:
        labels = np.where(rows.anomalous, ANOMALY, NORMAL).astype(np.int8)
        if report.dataset_version == version.name:
            of_table[np.array(rows.row_numbers, np.int64)] = labels
            continue
        try:
            raw = _reported_rows(report, rows, specification.columns, version, store)
        except (InvalidFieldError, FailedPreconditionError) as error:
            warn(f"{report.name} is left out, for it does not fit the data: {error}")
            continue
        elsewhere.append(LabelledRows(raw, labels))
    return KnownLabels(
        of_table if (of_table != UNKNOWN).any() else None,
        _joined(elsewhere) if elsewhere else None,
    )


def _column_labels(
    known: LabelColumn, version: dataset_pb2.DatasetVersion, store: ObjectStore
) -> Labels:
    column = schema_from_proto(version.schema).column(known.column)
    batches = stream_columns(version, store, [column.name])
    parts = [_labels(column, known, batch.columns[column.name]) for batch in batches]
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


def _reported_rows(
    report: outlier_pb2.OutlierFeedback,
    rows: scorer_pb2.LabelledRows,
    names: Sequence[str],
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
) -> RawRows:
    """Returns rows that were reported with their values, or by number in another version.

    Raises:
        InvalidFieldError: They do not fit the columns.
        FailedPreconditionError: The other version is gone.
    """
    if not report.dataset_version:
        return raw_rows(rows.rows, schema_from_proto(version.schema), names, report.name)
    other = ask_catalog(lambda catalog: catalog.dataset_version(report.dataset_version))
    schema, former = schema_from_proto(version.schema), schema_from_proto(other.schema)
    for name in names:
        now, then = schema.column(name), require_column(former, name, report.name)
        if (now.type, now.shape) != (then.type, then.shape):
            raise InvalidFieldError(report.name, f"`{name}` was {then.type} in {other.name}")
    table = StoredTable(other, store, names)
    return read_rows(table, np.array(rows.row_numbers, np.int64), lambda done: None)


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
