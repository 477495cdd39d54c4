"""Data that breaks careless code: a whole scan gives finite scores, or says in words why not."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import Detector, UnfitError
from services.outlier.domain.detectors.density import Hbos
from services.outlier.domain.detectors.neighbours import Knn, SubsampledNeighbours
from services.outlier.domain.detectors.patterns import FrequentPatterns
from services.outlier.domain.detectors.registry import DETECTORS
from services.outlier.domain.findings import Findings, find_anomalies
from services.outlier.domain.keeping import put_together, take_apart
from services.outlier.domain.kept import KeptDetector
from services.outlier.domain.preparation import PreparationOptions, Scaling
from services.outlier.domain.preparation.columns import MISSING_TIME
from services.outlier.domain.scan import Marking, ScanOptions, ScanResult, scan
from services.outlier.domain.table import RowsTable

GENERATOR = np.random.default_rng(0)
TYPES = {
    "number": ColumnType.NUMERIC,
    "label": ColumnType.CATEGORICAL,
    "truth": ColumnType.BOOLEAN,
    "time": ColumnType.TIMESTAMP,
    "text": ColumnType.TEXT,
    "image": ColumnType.IMAGE,
    "embedding": ColumnType.EMBEDDING,
}


def table(columns: Mapping[str, Values], labels: Mapping[str, tuple[str, ...]]) -> RowsTable:
    """Returns a table; a column's type is the beginning of its name, up to a space."""
    schema = [
        Column(name, TYPES[name.split(" ")[0]], shape=values.shape[1:])
        for name, values in columns.items()
    ]
    return RowsTable(RawRows(columns, labels), schema, 1000)


def numbers(values: Any) -> RowsTable:
    """Returns a table of one or more columns of numbers, shape (rows,) or (rows, columns)."""
    matrix = np.asarray(values, np.float64)
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    return table({f"number {place}": each for place, each in enumerate(matrix.T)}, {})


def mixed(count: int, seed: int = 0) -> RowsTable:
    """Returns rows of all types, in which a tenth of the values is missing."""
    generator = np.random.default_rng(seed)
    gaps = generator.random((count, 7)) < 0.1
    number = np.where(gaps[:, 0], np.nan, generator.normal(size=count))
    words = np.array(["red car", "blue car", "Old house!", "new house 17"], object)
    text = words[generator.integers(0, 4, count)]
    text[gaps[:, 4]] = None
    embedding = generator.normal(size=(count, 8)).astype(np.float32)
    embedding[gaps[:, 6]] = np.nan
    columns: dict[str, Values] = {
        "number": number,
        "label": np.where(gaps[:, 1], -1, generator.integers(0, 3, count)).astype(np.int32),
        "truth": np.where(gaps[:, 2], -1, generator.integers(0, 2, count)).astype(np.int32),
        "time": np.where(gaps[:, 3], MISSING_TIME, generator.integers(0, 10**14, count)),
        "text": text,
        "image": generator.integers(0, 256, (count, 1, 6, 5)).astype(np.uint8),
        "embedding": embedding,
    }
    return table(columns, {"label": ("a", "b", "c"), "truth": ("false", "true")})


def all_missing() -> RowsTable:
    """Returns rows of all types without any value."""
    columns: dict[str, Values] = {
        "number": np.full(30, np.nan),
        "label": np.full(30, -1, np.int32),
        "truth": np.full(30, -1, np.int32),
        "time": np.full(30, MISSING_TIME, np.int64),
        "text": np.full(30, None, object),
        "embedding": np.full((30, 3), np.nan, np.float32),
    }
    return table(columns, {"label": (), "truth": ("false", "true")})


def distinct_labels(count: int) -> RowsTable:
    """Returns a number and a label that is different in each row."""
    columns: dict[str, Values] = {
        "label": np.arange(count, dtype=np.int32),
        "number": GENERATOR.normal(size=count),
    }
    return table(columns, {"label": tuple(f"id{place}" for place in range(count))})


def scan_whole(
    data: RowsTable,
    detectors: dict[str, Detector] | None = None,
    scaling: Scaling = Scaling.AUTO,
) -> tuple[ScanResult, Findings]:
    """Scans, explains, keeps; checks that all that is said is finite and in words."""
    options = ScanOptions(
        detectors=detectors,
        preparation=PreparationOptions(scaling=scaling),
        marking=Marking(contamination=0.2),
    )
    result = scan(data, options, lambda *told: None)
    found = find_anomalies(data, result, 20, 5, lambda *told: None)
    assert np.isfinite(result.scores).all() and np.isfinite(result.ensemble.threshold)
    for each in found.anomalies:
        assert 0 < each.p_value <= 1 and 0 <= each.probability <= 1
        assert all(np.isfinite(reason.contribution) for reason in each.reasons)
        assert all(reason.value and reason.usual for reason in each.reasons)
        assert all(0 <= row < data.row_count for row in each.nearest)
    for left_out in result.left_out:
        check_sentence(left_out.reason)
    again = put_together(*take_apart(result.detector), KeptDetector)
    np.testing.assert_allclose(again.score(data.raw).scores, result.scores, atol=1e-6)
    return result, found


def check_sentence(text: str) -> None:
    """Asserts that a text is for people, not what some library raised."""
    assert len(text.split()) >= 4
    assert "it failed" not in text and "Error" not in text, text


REFUSED = {
    "constant": numbers(np.ones((50, 3))),
    "constant infinity": numbers(np.full(50, np.inf)),
    "one row": numbers([[1.0, 2.0]]),
    "one row of 10,000 columns": numbers(GENERATOR.normal(size=(1, 10_000))),
    "no rows": numbers(np.zeros((0, 2))),
    "no columns": RowsTable(RawRows({"number": np.ones(3)}), []),
    "nothing but gaps": all_missing(),
}
SCANNED = {
    "distinct labels": distinct_labels(20_000),
    "nothing but duplicates": numbers(np.repeat([[1.0, 2.0], [3.0, 4.0]], 30, axis=0)),
    "one row differs": numbers(np.r_[np.ones(99), 2.0]),
    "infinities": numbers([[np.inf, 1], [-np.inf, 2], [0, np.inf], [1, np.nan], [2, 3]] * 8),
    "nothing but infinities": numbers([np.inf, -np.inf, np.inf] * 5),
    "an infinity": numbers(np.r_[np.zeros(40), np.inf]),
    "infinities and gaps": numbers([np.inf, np.nan] * 20),
    "huge and tiny": numbers([[1e308, 5e-324], [-1e308, 0], [0, 1e-300], [3, 1]] * 5),
    "3 rows of 10,000 columns": numbers(GENERATOR.normal(size=(3, 10_000))),
    "two rows": numbers([[1.0, 2.0], [1.0, 3.0]]),
    "all types": mixed(120),
    "all types, few rows": mixed(3),
    "a gap in a row": numbers(np.r_[np.zeros(40), np.nan]),
}
SMALL = [name for name, data in SCANNED.items() if data.row_count * len(data.columns) < 9000]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_scanned_is_refused_in_words(name: str) -> None:
    """Where nothing tells rows apart, a sentence says so."""
    with pytest.raises(UnfitError) as refused:
        scan_whole(REFUSED[name])
    check_sentence(str(refused.value))


@pytest.mark.parametrize(
    ("name", "scaling"),
    [
        *((name, Scaling.AUTO) for name in SCANNED),
        *((name, scaling) for name in SMALL for scaling in (Scaling.STANDARD, Scaling.ROBUST)),
    ],
)
def test_hard_data_is_scanned(name: str, scaling: Scaling) -> None:
    """All else has finite scores, reasons in words, and a detector that can be kept."""
    result, found = scan_whole(SCANNED[name], scaling=scaling)
    assert len(result.scores) == SCANNED[name].row_count
    assert len(found.anomalies) == min(20, int(result.marked.sum()))


def test_an_infinity_is_odd() -> None:
    """An infinite number among equal ones is found, and said to be one."""
    _, found = scan_whole(SCANNED["an infinity"])
    assert found.anomalies[0].row == 40
    assert found.anomalies[0].reasons[0].value == "inf"


@pytest.mark.parametrize("name", sorted({*DETECTORS} - {"auto_encoder"}))
@pytest.mark.parametrize("data", ["all types", "two rows", "infinities", "one row differs"])
def test_every_detector(name: str, data: str) -> None:
    """Each detector alone scans hard data, or says in words that it cannot."""
    try:
        scan_whole(SCANNED[data], {name: DETECTORS[name]()})
    except UnfitError as error:
        check_sentence(str(error))


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 12).flatmap(
        lambda rows: st.lists(
            st.lists(
                st.one_of(st.floats(), st.sampled_from([0.0, 1.0, np.nan])),
                min_size=rows,
                max_size=rows,
            ),
            min_size=1,
            max_size=4,
        )
    ),
    st.booleans(),
)
def test_any_numbers(columns: list[list[float]], as_labels: bool) -> None:
    """Whatever the numbers are, alone or beside labels, a scan ends well or in words."""
    named: dict[str, Values] = {
        f"number {place}": np.array(each) for place, each in enumerate(columns)
    }
    if as_labels:
        named["label"] = (np.arange(len(columns[0])) % 3 - 1).astype(np.int32)
        named["label b"] = (np.arange(len(columns[0])) % 2).astype(np.int32)
    data = table(named, {"label": ("a", "b"), "label b": ("c", "d")})
    detectors: dict[str, Detector] = {
        "subsampled_neighbours": SubsampledNeighbours(),
        "hbos": Hbos(),
        "knn": Knn(),
        "frequent_patterns": FrequentPatterns(),
    }
    try:
        scan_whole(data, detectors)
    except UnfitError as error:
        check_sentence(str(error))
