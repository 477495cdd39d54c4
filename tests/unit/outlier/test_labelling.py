"""Scans of which some labels are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from services.outlier.domain import labelling
from services.outlier.domain import scan as scanning
from services.outlier.domain.detectors.supervised import Labels, SemiSupervised
from services.outlier.domain.ensemble import base_scores
from services.outlier.domain.findings import find_anomalies
from services.outlier.domain.fitting import Settled
from services.outlier.domain.keeping import put_together, take_apart
from services.outlier.domain.kept import KeptDetector
from services.outlier.domain.labelling import (
    KnownLabels,
    LabelledRows,
    LabelUse,
    choose_labelled,
)
from services.outlier.domain.scan import ScanOptions, ScanResult, scan
from services.outlier.domain.table import RowsTable
from tests.unit.outlier.support import auroc

COUNT, HIDDEN = 2000, 100


@pytest.fixture(autouse=True)
def fixture_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer trees learn as much of so few rows."""
    monkeypatch.setattr(labelling, "_TEACHER", SemiSupervised(trees=20, depth=6))


def rows(seed: int = 0) -> RawRows:
    """Returns a cloud; the first rows are a dense clump within it that only labels give away."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(COUNT, 4))
    values[:HIDDEN] = 0.8 + 0.2 * values[:HIDDEN]
    return RawRows({f"c{place}": each for place, each in enumerate(values.T)})


TRUTH = np.arange(COUNT) < HIDDEN


def table() -> RowsTable:
    raw = rows()
    return RowsTable(raw, [Column(name, ColumnType.NUMERIC) for name in raw.columns], 300)


def labels(anomalies: int, normal: int = 0) -> Labels:
    """Returns what is known: so many labels of either kind."""
    known = np.full(COUNT, -1, np.int8)
    known[:anomalies] = 1
    known[HIDDEN : HIDDEN + normal] = 0
    return known


def run(known: KnownLabels | None = None) -> ScanResult:
    return scan(table(), ScanOptions(), lambda stage, done, total: None, known)


def why_not(result: ScanResult) -> str:
    """Returns why labels were not used."""
    [reason] = [each.reason for each in result.left_out if each.name == "semi_supervised"]
    return reason


def test_labels_find_what_no_detector_can() -> None:
    """A third of the anomalies are labelled; the others are found, and it is said what helped."""
    result, alone = run(KnownLabels(labels(30, 50))), run()
    others = np.arange(COUNT) >= 30
    assert auroc(TRUTH[others], alone.scores[others]) < 0.4
    assert auroc(TRUTH[others], result.scores[others]) > 0.9
    assert (result.labels.anomalies, result.labels.normal) == (30, 50)
    assert result.labels.share > 0.5
    assert alone.labels == LabelUse()
    assert result.left_out == ()
    assert result.marked[:HIDDEN].mean() > 0.5
    assert result.marked[HIDDEN:].mean() < 0.05


def test_what_labels_taught_is_kept() -> None:
    """The kept detector scores rows as the scan did, and says why they are odd."""
    result = run(KnownLabels(labels(30)))
    again = put_together(*take_apart(result.detector), KeptDetector)
    found = again.score(table().raw)
    np.testing.assert_array_equal(found.scores, result.scores)
    np.testing.assert_array_equal(found.marked, result.marked)
    assert np.median(found.p_values[HIDDEN:]) > 0.3
    findings = find_anomalies(table(), result, 50, 20, lambda stage, done, total: None)
    assert all(each.reasons for each in findings.anomalies[:20])
    assert not set(result.detector.usual.numbers.tolist()) & set(range(30))


def test_labels_from_elsewhere() -> None:
    """Labelled rows that are not of the table teach as its own do."""
    some = np.r_[0:30, HIDDEN : HIDDEN + 50]
    elsewhere = LabelledRows(rows(1).take(some), TRUTH[some].astype(np.int8))
    result = run(KnownLabels(elsewhere=elsewhere))
    assert auroc(TRUTH, result.scores) > 0.9
    assert (result.labels.anomalies, result.labels.normal) == (30, 50)


def test_labelled_rows_beside_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table that is larger than the sample, all labelled rows are learned from."""
    monkeypatch.setattr(scanning, "_MOST_FITTED_ROWS", 400)
    result = run(KnownLabels(labels(30, 50)))
    assert (result.labels.anomalies, result.labels.normal) == (30, 50)
    assert auroc(TRUTH, result.scores) > 0.9


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (KnownLabels(labels(0, 50)), "No row is labelled as an anomaly"),
        (KnownLabels(labels(0)), "No row is labelled as an anomaly"),
        (KnownLabels(np.ones(COUNT, np.int8)), "Nearly all rows are labelled as anomalies"),
        (
            KnownLabels(elsewhere=LabelledRows(RawRows({"c0": np.ones(2)}), np.ones(2, np.int8))),
            "Labelled rows have no column 'c1'",
        ),
    ],
    ids=["only normal", "unknown", "only anomalies", "other columns"],
)
def test_useless_labels_change_nothing(known: KnownLabels, reason: str) -> None:
    """The scan goes on without, scores as without, and says why."""
    result, alone = run(known), run()
    assert reason in why_not(result)
    np.testing.assert_array_equal(result.scores, alone.scores)
    assert result.labels == LabelUse()


def test_labels_that_say_nothing_new_change_nothing() -> None:
    """Where detectors find all that is labelled, they are left alone."""
    alone = run()
    known = labels(0)
    known[alone.oddest[:10]] = 1
    result = run(KnownLabels(known))
    assert "no better than the detectors do without" in why_not(result)
    np.testing.assert_array_equal(result.scores, alone.scores)


def test_another_attempt_learns_the_same_again() -> None:
    """What was settled is repeated: with labels where they were used, else without."""
    told: list[Settled] = []
    known = KnownLabels(labels(30))
    quiet = scan(table(), ScanOptions(), lambda *told: None, known, settle=told.append)
    [settled] = told
    assert settled.members[-1] == "semi_supervised"
    hurried = ScanOptions(seconds=0)
    busy = scan(table(), hurried, lambda *told: None, known, settled, told.append)
    np.testing.assert_array_equal(quiet.scores, busy.scores)
    assert told == [settled, settled]
    late = scan(table(), hurried, lambda *told: None, known, settle=told.append)
    assert "no time left" in why_not(late)
    again = scan(table(), ScanOptions(), lambda *told: None, known, told[-1])
    np.testing.assert_array_equal(late.scores, again.scores)
    assert again.left_out == late.left_out


@given(
    st.lists(st.sampled_from([-1, 0, 1]), max_size=60),
    st.integers(0, 40),
    st.integers(0, 3),
)
def test_chosen_labels(known: list[int], most: int, seed: int) -> None:
    """No more are chosen than asked for, anomalies before normal rows, and none twice."""
    of_rows = np.array(known, np.int8)
    chosen = choose_labelled(of_rows, most, np.random.default_rng(seed))
    found = of_rows[chosen].tolist()
    assert len(set(chosen.tolist())) == len(chosen) == min(most, len(known) - known.count(-1))
    assert found.count(1) == min(most, known.count(1)) and -1 not in found


def test_learned_scores_keep_the_order_of_the_blend() -> None:
    """Brought to another scale, rows are ranked as what was learned ranks them."""
    result = run(KnownLabels(labels(30)))
    ensemble = result.ensemble
    assert ensemble.learned is not None
    prepared = ensemble.preparation.apply(table().raw)
    blended = ensemble.learned.blend.score(prepared, base_scores(ensemble.members, prepared))
    order = np.argsort(blended)
    assert (np.diff(result.scores[order]) >= 0).all()
