"""The benchmark on tables: its split, its measures, what it keeps of rivals."""

import math
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.tuner import table_rivals
from tests.benchmarks.tuner.rivals.table_task import TARGET
from tests.benchmarks.tuner.table_measures import measures_of, standing_of
from tests.benchmarks.tuner.table_rivals import FLAML, FLOORS, OURS, Runner
from tests.benchmarks.tuner.table_running import Outcome, run
from tests.benchmarks.tuner.table_sets import TableSet


@pytest.fixture
def table(tmp_path: Path) -> TableSet:
    """A table of two classes, 100 and 10 rows."""
    path = tmp_path / "some.parquet"
    labels = pa.array(["no"] * 100 + ["yes"] * 10).dictionary_encode()
    pq.write_table(pa.table({"row": np.arange(110), TARGET: labels}), path)
    return TableSet("some", "binary", path)


def test_each_class_is_split_alike(table: TableSet, tmp_path: Path) -> None:
    """Contenders see the rows that the data's README says, and not the truth of the others."""
    truth = table.lay_out(tmp_path, seed=3)
    train, test = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("train", "test"))
    assert np.bincount(train[TARGET].to_numpy()).tolist() == [67, 7]
    assert np.bincount(truth).tolist() == [33, 3]
    assert test.column_names == ["row"]
    expected = np.sort(np.random.RandomState(3).permutation(np.arange(100))[:67])
    assert train["row"].to_numpy()[:67].tolist() == expected.tolist()


def test_who_fails_ranks_last() -> None:
    """A failure costs a rank and no relative loss."""
    losses = np.array([[1.0, 2.0], [2.0, math.inf], [4.0, 1.0]])
    standing = standing_of(losses, floors=[2])
    assert standing.ranks.tolist() == [1.5, 2.5, 2.0]
    assert standing.wins.tolist() == [0.5, 0.0, 0.5]
    assert standing.beaten.tolist() == [0.5, 1.0, 0.5]
    assert np.isnan(standing.relative[1, 1])
    assert standing.to_floor[0] == pytest.approx([0.25, 2.0], rel=1e-4)


def test_measures_say_what_is_not_reached() -> None:
    """Aims are judged by ours; a rival that failed everywhere spoils nothing."""
    good = {"trials": 10.0, "scored": 9.0, "first": 2.0}
    found = {
        OURS.name: [Outcome(1.0, 62.0, 60.0, 650.0, 400.0, good)],
        FLOORS[0].name: [Outcome(2.0, 5.0, 3.0, 200.0, 200.0)],
        FLAML.name: [Outcome(math.inf, 66.0, 60.0, 500.0, 500.0, failure="ended with 1")],
    }
    met = {each.measure.removeprefix("60 s: "): each.met for each in measures_of(found, 60)}
    assert met["mean rank, theirs FLAML"] is True
    assert met["time beyond the budget, %, worst, theirs the least"] is True
    assert met["share of trials with a score, theirs auto-sklearn's"] is False


def test_a_contender_that_fails_is_an_outcome(table: TableSet) -> None:
    """The benchmark goes on, and says why."""
    found = run([sys.executable, "-c", "raise SystemExit('cannot')"], table, 0, 1.0)
    assert found.loss == math.inf
    assert "cannot" in found.failure


def test_rivals_run_once(table: TableSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a rival reached is kept by seed and budget, and named as kept."""
    runs: list[object] = []

    def ran(*case: object) -> Outcome:
        runs.append(case)
        return Outcome(1.0, 1.0, 1.0, 1.0, 1.0)

    monkeypatch.setattr(table_rivals, "_KEPT", tmp_path / "kept")
    monkeypatch.setattr(table_rivals, "_run", ran)
    monkeypatch.setattr(table_rivals, "interpreter", lambda environment: Path("python"))
    first, again = Runner(), Runner()
    assert first.outcome(FLAML, table, 0, 60) == again.outcome(FLAML, table, 0, 60)
    assert len(runs) == 1
    assert not first.kept
    assert list(again.kept) == ["FLAML"]
    again.outcome(FLAML, table, 1, 60)
    assert len(runs) == 2
