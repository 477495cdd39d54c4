"""What a scan has to say of its anomalies."""

import numpy as np
import pytest

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import Detector
from services.outlier.domain.detectors.bayes import BayesianNetwork
from services.outlier.domain.detectors.clustering import Cblof, KMeans
from services.outlier.domain.detectors.neighbours import Knn
from services.outlier.domain.detectors.patterns import FrequentPatterns
from services.outlier.domain.findings import Findings, find_anomalies
from services.outlier.domain.keeping import put_together, take_apart
from services.outlier.domain.kept import KeptDetector
from services.outlier.domain.scan import Marking, ScanOptions, ScanResult, Stage, scan
from services.outlier.domain.table import RowsTable

USUAL, LONG, MISMATCHED = 1480, 10, 10
COUNT = USUAL + LONG + MISMATCHED


def table(batch_rows: int = 65_536) -> RowsTable:
    """Returns rows of which some are too long, and some have a shape that is not their colour's."""
    generator = np.random.default_rng(0)
    length = generator.normal(10, 1, COUNT)
    length[USUAL : USUAL + LONG] = 40 + np.arange(LONG)
    width = generator.normal(size=COUNT)
    color = generator.integers(0, 2, COUNT).astype(np.int32)
    shape = color.copy()
    shape[USUAL + LONG :] = 1 - shape[USUAL + LONG :]
    raw = RawRows(
        {"length": length, "width": width, "color": color, "shape": shape},
        {"color": ("blue", "red"), "shape": ("round", "square")},
    )
    kinds = {"color": ColumnType.CATEGORICAL, "shape": ColumnType.CATEGORICAL}
    columns = [Column(name, kinds.get(name, ColumnType.NUMERIC)) for name in raw.columns]
    return RowsTable(raw, columns, batch_rows)


def run(detectors: dict[str, Detector] | None = None, batch_rows: int = 65_536) -> ScanResult:
    """Scans the table and marks twenty rows."""
    options = ScanOptions(
        detectors=detectors, marking=Marking(contamination=(LONG + MISMATCHED) / COUNT)
    )
    return scan(table(batch_rows), options, lambda stage, done, total: None)


def find(result: ScanResult, listed: int = 100, explained: int = 100) -> Findings:
    """Lists anomalies."""
    return find_anomalies(table(), result, listed, explained, lambda stage, done, total: None)


@pytest.fixture(name="result", scope="module")
def fixture_result() -> ScanResult:
    return run()


def test_marked_rows_are_listed_by_rank(result: ScanResult) -> None:
    """What is listed is what is marked, the oddest first, no more than asked for."""
    found = find(result, 15, 5)
    assert [each.rank for each in found.anomalies] == list(range(1, 16))
    assert all(result.marked[each.row] for each in found.anomalies)
    assert all(result.scores[each.row] == each.score for each in found.anomalies)
    assert all(0 < each.p_value <= 1 and 0 <= each.probability <= 1 for each in found.anomalies)
    assert [bool(each.reasons) for each in found.anomalies] == [True] * 5 + [False] * 10
    assert find(result, 15, 0).groups == ()
    assert find(result, 0, 5) == Findings((), ())


def test_reasons_are_for_people(result: ScanResult) -> None:
    """A row that is too long is odd for its length, which is said beside what is usual."""
    long = [each for each in find(result).anomalies if USUAL <= each.row < USUAL + LONG]
    assert len(long) == LONG
    for each in long:
        reason = each.reasons[0]
        assert reason.column == "length"
        assert float(reason.value) == 40 + each.row - USUAL
        usual = [float(value) for value in reason.usual.split(", ")]
        assert all(6 < value < 14 for value in usual)
        contributions = [reason.contribution for reason in each.reasons]
        assert contributions == sorted(contributions, reverse=True) and contributions[-1] > 0


def test_nearest_rows_are_usual_rows_of_the_data(result: ScanResult) -> None:
    """The numbers name unmarked rows of the table whose values are those that are shown."""
    raw, anomalies = table().raw, find(result).anomalies
    assert any(reason.column == "width" for each in anomalies for reason in each.reasons)
    for each in anomalies:
        assert len(each.nearest) == 3
        assert not result.marked[list(each.nearest)].any()
        for reason in each.reasons:
            if reason.column == "width":
                near = [f"{raw.columns['width'][row]:.6g}" for row in each.nearest]
                assert reason.usual == ", ".join(near)


def test_groups_are_of_like_reasons(result: ScanResult) -> None:
    """Rows that are too long are one group, and its column is named."""
    found = find(result)
    [place] = {each.group for each in found.anomalies if USUAL <= each.row < USUAL + LONG}
    assert place is not None
    group = found.groups[place]
    assert set(group.rows) >= set(range(USUAL, USUAL + LONG))
    assert max(group.shares, key=lambda name: group.shares[name]) == "length"
    assert [result.ranks[row] for row in group.rows] == sorted(
        result.ranks[row] for row in group.rows
    )


def test_batches_change_nothing() -> None:
    """Findings do not depend on how the rows come."""
    detectors: dict[str, Detector] = {"knn": Knn()}
    whole, cut = run(detectors), run(detectors, 70)
    one = find(whole)
    other = find_anomalies(table(70), cut, 100, 100, lambda stage, done, total: None)
    assert [each.row for each in one.anomalies] == [each.row for each in other.anomalies]
    for left, right in zip(one.anomalies, other.anomalies, strict=True):
        assert left.nearest == right.nearest
        assert [each.column for each in left.reasons] == [each.column for each in right.reasons]


def test_broken_patterns_and_relations_are_named() -> None:
    """A row whose shape is not its colour's breaks a pattern and a relation."""
    found = find(run({"patterns": FrequentPatterns(), "network": BayesianNetwork()}))
    row = USUAL + LONG
    [odd] = [each for each in found.anomalies if each.row == row]
    sentences = " | ".join(odd.broken)
    color = "red" if table().raw.columns["color"][row] else "blue"
    expected, here = ("square", "round") if color == "red" else ("round", "square")
    assert f"color={color} goes with shape={expected} in 99 % of rows" in sentences
    assert f"here it is shape={here}" in sentences
    assert "is expected in" in sentences and f"% of rows with color={color}" in sentences


@pytest.mark.parametrize("detector", [KMeans(), Cblof()], ids=["kmeans", "cblof"])
def test_left_clusters_are_named(detector: Detector) -> None:
    """A row far from all clusters is told how far, and where the nearest one is."""
    found = find(run({"clusters": detector}))
    [odd] = [each for each in found.anomalies if each.row == USUAL + LONG - 1]
    assert "times as far from the centre of the nearest cluster" in odd.broken[0]


def test_a_kept_detector_explains_alike(result: ScanResult) -> None:
    """What was kept, and put together again, gives the same reasons for the same rows."""
    arrays, plain = take_apart(result.detector)
    again = put_together(arrays, plain, KeptDetector)
    anomalies = find(result).anomalies
    rows = np.array([each.row for each in anomalies])
    for before, after in zip(anomalies, again.explain(table().raw.take(rows)), strict=True):
        assert [each.column for each in before.reasons] == [each.column for each in after.reasons]
        assert before.nearest == after.nearest
        assert before.broken == after.broken


def test_explaining_can_be_stopped(result: ScanResult) -> None:
    """Progress is told, and what it raises ends the work."""
    told: list[tuple[Stage, int, int]] = []
    find_anomalies(table(50), result, 100, 8, lambda *each: told.append(each))
    assert told[-1] == (Stage.EXPLAINING, 8, 8)

    def stop(stage: Stage, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_anomalies(table(), result, 100, 8, stop)
