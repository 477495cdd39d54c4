"""A scan from raw rows to marks."""

from typing import ClassVar

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import (
    Card,
    Detector,
    Fitted,
    Generator,
    Rows,
    UnfitError,
)
from services.outlier.domain.detectors.clustering import KMeans
from services.outlier.domain.detectors.linear import Pca
from services.outlier.domain.detectors.neighbours import Knn, SubsampledNeighbours
from services.outlier.domain.ensemble import Ensemble
from services.outlier.domain.fitting import Settled
from services.outlier.domain.keeping import put_together, take_apart
from services.outlier.domain.scan import Marking, ScanOptions, ScanResult, Stage, scan
from services.outlier.domain.table import RowsTable

USUAL, ODD = 1900, 20


def table(batch_rows: int = 65_536) -> RowsTable:
    """Returns rows of two numbers and a label; the last ones are odd."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(USUAL + ODD, 2))
    numbers[USUAL:] += generator.choice([-9, 9], (ODD, 2))
    kinds = generator.integers(0, 3, USUAL + ODD).astype(np.int32)
    raw = RawRows(
        {"first": numbers[:, 0], "second": numbers[:, 1], "kind": kinds}, {"kind": ("a", "b", "c")}
    )
    columns = [Column("first", ColumnType.NUMERIC), Column("second", ColumnType.NUMERIC)]
    return RowsTable(raw, [*columns, Column("kind", ColumnType.CATEGORICAL)], batch_rows)


def run(options: ScanOptions | None = None, batch_rows: int = 65_536) -> ScanResult:
    """Scans the table."""
    return scan(table(batch_rows), options or ScanOptions(), lambda stage, done, total: None)


def test_odd_rows_are_marked() -> None:
    """Without labels and without a guess of how many, the odd rows are marked and few others."""
    result = run()
    assert result.left_out == ()
    assert result.marked[USUAL:].all()
    assert result.marked[:USUAL].mean() < 0.03
    assert set(result.oddest[:ODD].tolist()) == set(range(USUAL, USUAL + ODD))
    assert sorted(result.ranks.tolist()) == list(range(1, USUAL + ODD + 1))


def test_batches_change_nothing() -> None:
    """Scores do not depend on how the rows come, and a seed repeats them."""
    np.testing.assert_allclose(run().scores, run(batch_rows=500).scores, atol=1e-9)
    assert (run().scores == run().scores).all()
    assert (run(ScanOptions(seed=1)).scores != run().scores).any()


def test_a_kept_ensemble_scores_alike() -> None:
    """What a scan learned, kept and put together again, says the same of the same rows."""
    result = run()
    arrays, plain = take_apart(result.ensemble)
    again = put_together(arrays, plain, Ensemble)
    found = again.score(table().raw)
    np.testing.assert_array_equal(found.scores, result.scores)
    np.testing.assert_array_equal(found.marked, result.marked)
    assert ((found.p_values > 0) & (found.p_values <= 1)).all()
    assert (found.probabilities[USUAL:] > 0.8).all()
    assert np.median(found.probabilities) < 0.1


def test_marking() -> None:
    """A share marks that share; a false discovery rate bounds how many usual rows are marked."""
    share = run(ScanOptions(marking=Marking(contamination=0.1)))
    assert share.marked.sum() == (USUAL + ODD) // 10
    rate = run(ScanOptions(marking=Marking(false_discovery_rate=0.1)))
    assert rate.marked[USUAL:].mean() > 0.8
    assert rate.marked[:USUAL].sum() <= 0.3 * rate.marked.sum()


class Broken(Detector):
    """Fails, as libraries do."""

    card: ClassVar[Card] = Card("nothing", "none", "nobody", 1000)

    def fit(self, rows: Rows, generator: Generator) -> Fitted:
        raise ZeroDivisionError("in the depths of a library")


def test_what_fails_is_left_out_and_named() -> None:
    """A detector that breaks takes no part; the others' scores are as without it."""
    with_it = run(ScanOptions(detectors={"knn": Knn(), "broken": Broken()}))
    without = run(ScanOptions(detectors={"knn": Knn()}))
    [left_out] = with_it.left_out
    assert left_out.name == "broken"
    assert "ZeroDivisionError: in the depths of a library" in left_out.reason
    np.testing.assert_array_equal(with_it.scores, without.scores)


def test_nothing_can_be_fitted() -> None:
    """Where every detector fails the scan fails, and says why each did."""
    with pytest.raises(UnfitError, match=r"broken: it failed: ZeroDivisionError"):
        run(ScanOptions(detectors={"broken": Broken()}))


def test_budget() -> None:
    """Detectors for which there is no time are left out; the first always takes part."""
    result = run(ScanOptions(detectors={"knn": Knn(), "late": SubsampledNeighbours()}, seconds=0))
    assert [member.name for member in result.ensemble.members] == ["knn"]
    [left_out] = result.left_out
    assert left_out.name == "late" and "budget" in left_out.reason


def test_another_attempt_repeats_what_was_settled() -> None:
    """Whether there was more time or less, the same detectors take part with the same scores."""
    told: list[Settled] = []
    detectors: dict[str, Detector] = {"knn": Knn(), "late": SubsampledNeighbours()}

    def attempt(seconds: float, settled: Settled | None = None) -> ScanResult:
        options = ScanOptions(detectors=detectors, seconds=seconds)
        return scan(table(), options, lambda *told: None, None, settled, told.append)

    hurried, patient = attempt(0), attempt(600)
    assert [each.members for each in told] == [("knn",), ("knn", "late")]
    for first, seconds, settled in ((hurried, 600, told[0]), (patient, 0, told[1])):
        again = attempt(seconds, settled)
        assert told[-1] == settled
        assert again.left_out == first.left_out
        np.testing.assert_array_equal(again.scores, first.scores)


def test_what_was_settled_must_not_fail() -> None:
    """A detector that took part, and fails in another attempt, is not left out silently."""
    settled = Settled(("knn", "broken"))
    options = ScanOptions(detectors={"knn": Knn(), "broken": Broken()})
    with pytest.raises(ZeroDivisionError):
        scan(table(), options, lambda *told: None, None, settled)
    with pytest.raises(ValueError, match="settled: lof"):
        scan(table(), options, lambda *told: None, None, Settled(("lof",)))


def test_threads_change_nothing() -> None:
    """Scores are the same to the last bit, however many threads there are for sums."""
    detectors: dict[str, Detector] = {"kmeans": KMeans(), "pca": Pca(), "knn": Knn()}
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(run(ScanOptions(detectors=detectors)).scores)
    np.testing.assert_array_equal(found[0], found[1])


def test_equal_rows_have_equal_scores() -> None:
    """Rows that are alike are marked alike, wherever in a batch they are."""
    raw = table().raw
    twice = np.r_[0 : raw.count, 0 : raw.count]
    doubled = RowsTable(raw.take(twice), table().columns, 777)
    result = scan(doubled, ScanOptions(), lambda *told: None)
    first, second = np.split(result.scores, 2)
    np.testing.assert_array_equal(first, second)


def test_progress_and_stopping() -> None:
    """A scan tells each stage in order, counts all rows, and stops where it is told to."""
    told: list[tuple[Stage, int]] = []
    scan(table(500), ScanOptions(), lambda stage, done, total: told.append((stage, done)))
    assert list(dict.fromkeys(stage for stage, _ in told)) == list(Stage)[:3]
    assert told[-1] == (Stage.SCORING, USUAL + ODD)

    def stop(stage: Stage, done: int, total: int) -> None:
        if stage is Stage.SCORING:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(table(500), ScanOptions(), stop)


@pytest.mark.parametrize(
    "values",
    [
        np.repeat(1.0, 50),
        np.full(50, np.nan),
        np.array([1.0]),
    ],
)
def test_nothing_to_scan(values: np.ndarray) -> None:
    """Constant data, nothing but gaps, and a single row are refused in words."""
    single = RowsTable(RawRows({"x": values}), [Column("x", ColumnType.NUMERIC)])
    with pytest.raises(UnfitError, match=r"same value|two rows"):
        scan(single, ScanOptions(), lambda stage, done, total: None)


@pytest.mark.parametrize(
    "values",
    [
        np.repeat([1.0, 2.0], [40, 2]),  # duplicates only
        np.array([1.0, 2.0]),
        np.array([np.inf, -np.inf, 0.0, 1.0, np.nan] * 5),
        np.array([1e308, -1e308, 0.0, 5.0] * 5),
        np.array([5e-324, 0.0] * 5),
    ],
)
def test_awkward_numbers(values: np.ndarray) -> None:
    """Whatever can be told apart is scored with finite numbers."""
    awkward = RowsTable(RawRows({"x": values}), [Column("x", ColumnType.NUMERIC)])
    result = scan(awkward, ScanOptions(), lambda stage, done, total: None)
    assert np.isfinite(result.scores).all()


def test_one_row_of_many_columns() -> None:
    """Few rows of ten thousand columns are scanned within memory and time."""
    generator = np.random.default_rng(0)
    columns = {f"c{index}": generator.normal(size=30) for index in range(10_000)}
    for values in columns.values():
        values[7] += 5
    wide = RowsTable(RawRows(columns), [Column(name, ColumnType.NUMERIC) for name in columns])
    result = scan(wide, ScanOptions(), lambda stage, done, total: None)
    assert result.oddest[0] == 7
