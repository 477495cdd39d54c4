"""A kept detector says of rows in messages what it said of the same rows in the scanned data."""

import io
import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image

from aimass.catalog.v1 import model_pb2
from aimass.type.v1 import table_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.data.messages import schema_to_proto
from common.data.rows import RawRows, Values
from common.data.schema import BOOLEAN_LABELS, Column, ColumnType, Schema
from common.errors import DataLossError
from services.outlier.detector_files import read_detector, write_detector
from services.outlier.domain.detectors.registry import DETECTORS
from services.outlier.domain.preparation.columns import MISSING_TIME
from services.outlier.domain.scan import ScanOptions, ScanResult, scan
from services.outlier.domain.table import RowsTable
from services.outlier.rows import raw_rows
from tests.unit.outlier_service.test_rows import blobs, strings, table

COUNT = 150
KINDS = ("", "c.d/e", "plain", "ü")
SCHEMA = Schema(
    (
        Column("size", ColumnType.NUMERIC),
        Column("single.1/a", ColumnType.NUMERIC),
        Column("kind", ColumnType.CATEGORICAL, categories=KINDS),
        Column("ok", ColumnType.BOOLEAN),
        Column("note", ColumnType.TEXT),
        Column("when", ColumnType.TIMESTAMP),
        Column("face", ColumnType.IMAGE, shape=(3, 4, 5)),
        Column("place", ColumnType.EMBEDDING, shape=(6,)),
    )
)
INDIA = timezone(timedelta(hours=5, minutes=30))


def data() -> RawRows:
    """Returns rows as shards hold them: some values are missing, numbers are of 32 bits."""
    generator = np.random.default_rng(1)
    single = generator.normal(size=COUNT).astype(np.float32).round(1)
    single[::29] = np.nan
    when = 1_700_000_000_000_000 + generator.integers(0, 60 * 86_400_000_000, COUNT)
    when[::50] = MISSING_TIME
    place = generator.normal(size=(COUNT, 6)).astype(np.float32)
    place[::61] = np.nan
    notes = [None if row % 37 == 0 else f"hello {row % 7} and {row % 3}" for row in range(COUNT)]
    columns: dict[str, Values] = {
        "size": generator.normal(size=COUNT),
        "single.1/a": single,
        "kind": generator.integers(-1, len(KINDS), COUNT).astype(np.int32),
        "ok": generator.integers(-1, 2, COUNT).astype(np.int32),
        "note": np.array(notes, object),
        "when": when,
        "face": generator.integers(0, 255, (COUNT, 3, 4, 5)).astype(np.uint8),
        "place": place,
    }
    return RawRows(columns, {"kind": KINDS, "ok": BOOLEAN_LABELS})


DATA = data()


def png(pixels: Values) -> bytes:
    """Returns an encoded image."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def moment(microseconds: int) -> str:
    """Returns a time as somebody in India writes it."""
    if microseconds == MISSING_TIME:
        return ""
    since = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return since.astimezone(INDIA).isoformat()


def message() -> table_pb2.Table:
    """Returns the same rows as a caller sends them: 0.1 is a double, labels and times are texts."""
    columns = DATA.columns
    single = [float(str(each)) for each in columns["single.1/a"]]
    truths = [code == 1 for code in columns["ok"].tolist()]
    return table(
        size=table_pb2.Column(doubles=table_pb2.DoubleValues(values=columns["size"])),
        kind=strings(
            *[KINDS[code] if code >= 0 else "" for code in columns["kind"].tolist()],
            missing=missing("kind", -1),
        ),
        ok=table_pb2.Column(
            booleans=table_pb2.BoolValues(values=truths), missing_rows=missing("ok", -1)
        ),
        note=strings(*[text or "" for text in columns["note"]], missing=missing("note", None)),
        when=strings(
            *[moment(each) for each in columns["when"].tolist()],
            missing=missing("when", MISSING_TIME),
        ),
        face=blobs(*[png(each) for each in columns["face"]]),
        place=blobs(*[each.astype("<f4").tobytes() for each in columns["place"]]),
        **{"single.1/a": table_pb2.Column(doubles=table_pb2.DoubleValues(values=single))},
    )


def missing(name: str, gap: object) -> tuple[int, ...]:
    """Returns the rows that have no value."""
    return tuple(row for row, each in enumerate(DATA.columns[name].tolist()) if each == gap)


def scanned(name: str) -> ScanResult:
    """Returns what one detector finds in the rows."""
    quick = {"epochs": 3} if name == "auto_encoder" else {}
    detectors = {name: DETECTORS[name](**quick)}
    return scan(
        RowsTable(DATA, SCHEMA.columns), ScanOptions(detectors=detectors), lambda *told: None
    )


def kept(result: ScanResult) -> tuple[model_pb2.ModelVersion, MemoryStore]:
    """Returns the model version of a scan's detector, and where its files are."""
    store = MemoryStore()
    sample = DATA.take(slice(0, 16))
    files = write_detector(store, "v/", result.detector, schema_to_proto(SCHEMA), sample)
    return model_pb2.ModelVersion(name="models/m/versions/1", artifacts=files), store


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_every_detector_scores_messages_as_it_scored_the_data(name: str) -> None:
    """From files, of columns of all types: the same scores, alone or beside others, and reasons."""
    result = scanned(name)
    loaded = read_detector(*kept(result))
    raw = raw_rows(message(), loaded.schema, loaded.columns, "rows")
    scored = loaded.detector.score(raw)
    assert scored.scores.tolist() == result.scores.tolist()
    assert scored.marked.tolist() == result.marked.tolist()
    for row in range(0, COUNT, 10):
        alone = raw.take(slice(row, row + 1))
        assert loaded.detector.score(alone).scores[0] == result.scores[row]
    first = slice(0, 3)
    said = [
        (each.reasons, each.nearest, each.broken)
        for each in result.detector.explain(DATA.take(first))
    ]
    again = [
        (each.reasons, each.nearest, each.broken)
        for each in loaded.detector.explain(raw.take(first))
    ]
    assert said == again


def test_detector_that_scores_otherwise_is_not_used() -> None:
    """Test vectors are replayed: files of two detectors mixed up are found out."""
    version, store = kept(scanned("ecod"))
    other, others = kept(scanned("knn"))
    samples = other.artifacts["samples"]
    content = others.read("v/samples")[0]
    store.upload("v/samples", [content])
    version.artifacts["samples"].CopyFrom(samples)
    with pytest.raises(DataLossError, match="test vectors"):
        read_detector(version, store)


def test_detector_whose_parts_do_not_fit_together_is_told() -> None:
    """Columns of another data set beside a detector make no error without words."""
    version, store = kept(scanned("ecod"))
    configuration = json.loads(store.read("v/configuration")[0])
    columns = configuration["schema"]["columns"]
    columns[0]["type"], columns[2]["type"] = columns[2]["type"], columns[0]["type"]
    ref = put_artifact(store, "v/configuration", json.dumps(configuration).encode(), "x/y")
    version.artifacts["configuration"].CopyFrom(ref)
    with pytest.raises(DataLossError, match="models/m/versions/1"):
        read_detector(version, store)
