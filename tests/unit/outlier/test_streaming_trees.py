import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.anomaly import HalfSpaceTrees as RiverTrees
from river.datasets import Shuttle
from river.preprocessing import MinMaxScaler
from sklearn.metrics import roc_auc_score

from services.outlier.domain.detector import Matrix, UnfitError
from services.outlier.domain.streaming.half_space_trees import HalfSpaceTrees, StreamingTrees

SMALL = HalfSpaceTrees(trees=8, height=6, window=40)


def stream(count: int, features: int = 3, gaps: float = 0.1, seed: int = 0) -> Matrix:
    generator = np.random.default_rng(seed)
    rows: Matrix = generator.normal(size=(count, features))
    rows[generator.random(rows.shape) < gaps] = np.nan
    return rows


def started(options: HalfSpaceTrees = SMALL, features: int = 3, seed: int = 0) -> StreamingTrees:
    return options.start(features, np.random.default_rng(seed))


def test_scores_are_mean_log_densities_where_walks_end() -> None:
    """Protects the method: a walk ends in the first sparse node; its density counts."""
    rows = stream(60, gaps=0)
    trees = started()
    trees.score_and_learn(rows[:40])
    forest = trees._forest
    assert forest is not None
    expected = []
    for row in rows[40:]:
        densities = []
        for tree in range(8):
            node, depth = 0, 0
            while depth < 6 and forest.reference[tree, node] >= 0.04 * 40:
                left = row[forest.columns[tree, node]] < forest.thresholds[tree, node]
                node, depth = 2 * node + (1 if left else 2), depth + 1
            densities.append((forest.reference[tree, node] + 1) * 2.0**depth)
        expected.append(np.log2(41 * 2**6) - np.log2(densities).mean())
    np.testing.assert_allclose(trees.score_and_learn(rows[40:]), expected)


def test_counts_of_children_sum_to_their_parent() -> None:
    """Protects the counting, in all nodes and with missing numbers."""
    trees = started()
    trees.score_and_learn(stream(100))
    forest = trees._forest
    assert forest is not None
    for masses in (forest.reference, forest.latest):
        np.testing.assert_array_equal(masses[:, 1::2] + masses[:, 2::2], masses[:, : 2**6 - 1])
    assert (forest.reference[:, 0] == 40).all()
    assert (forest.latest[:, 0] == 20).all()


@settings(max_examples=25)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=6), st.integers(0, 3))
def test_batches_change_nothing(sizes: list[int], seed: int) -> None:
    """Protects users from a result that depends on how their stream arrives."""
    rows = stream(sum(sizes), seed=seed)
    whole, parts, single = started(seed=seed), started(seed=seed), started(seed=seed)
    expected = whole.score_and_learn(rows)
    ends = np.cumsum(sizes)[:-1]
    cut = [parts.score_and_learn(part) for part in np.split(rows, ends)]
    ones = [single.score_and_learn(row[None]) for row in rows]
    np.testing.assert_array_equal(np.concatenate(cut), expected)
    np.testing.assert_array_equal(np.concatenate(ones), expected)


@settings(max_examples=15)
@given(st.integers(0, 130))
def test_goes_on_where_it_stopped(at: int) -> None:
    """Protects long streams from restarts, at any row."""
    rows = stream(150)
    trees = started()
    expected = trees.score_and_learn(rows)[at:]
    first = started()
    first.score_and_learn(rows[:at])
    restored = StreamingTrees.from_state(SMALL, *first.state())
    np.testing.assert_array_equal(restored.score_and_learn(rows[at:]), expected)


def test_scoring_alone_learns_nothing() -> None:
    """Protects what-if questions on a live stream."""
    rows = stream(200)
    trees = started()
    trees.score_and_learn(rows[:100])
    np.testing.assert_array_equal(trees.score(rows[100:]), trees.score(rows[100:]))
    assert trees.score(rows[100:101]) == trees.score_and_learn(rows[100:101])


def test_ranks_labelled_rows_as_well_as_river() -> None:
    """Protects quality on a labelled stream: the shuttle's rare states."""
    data = list(itertools.islice(Shuttle(), 2000))
    rows = np.array([list(row.values()) for row, _ in data], float)
    odd = np.array([label for _, label in data], bool)
    ours = [started(HalfSpaceTrees(), 9, seed).score_and_learn(rows) for seed in range(3)]
    reference: Any = RiverTrees(n_trees=25, height=12, window_size=250, seed=0)
    scale: Any = MinMaxScaler()
    theirs = []
    for row, _ in data:
        scale.learn_one(row)
        scaled = scale.transform_one(row)
        theirs.append(reference.score_one(scaled))
        reference.learn_one(scaled)
    areas = [roc_auc_score(odd[250:], scores[250:]) for scores in ours]
    assert np.mean(areas) >= roc_auc_score(odd[250:], theirs[250:])
    assert min(areas) > 0.95


def test_values_outside_the_first_ranges_are_odd() -> None:
    """Protects against ranges that are learned from too little: beyond them it is emptiest."""
    rows = stream(300, gaps=0)
    trees = started(HalfSpaceTrees())
    trees.score_and_learn(rows)
    inside, outside = trees.score(stream(50, gaps=0, seed=1)), trees.score(np.full((1, 3), 50.0))
    assert outside[0] > np.quantile(inside, 0.95)


def test_ranges_are_learned_again_when_the_stream_moves_away() -> None:
    """Protects the trees from going blind: after a jump they tell rows apart again."""
    trees = started(HalfSpaceTrees())
    trees.score_and_learn(stream(250, gaps=0))
    trees.score_and_learn(stream(250, gaps=0) * 0.01 + 1000)
    usual = trees.score(stream(50, gaps=0, seed=1) * 0.01 + 1000)
    odd = trees.score(np.array([[1000.05, 999.95, 1000.05], [0.0, 0.0, 0.0]]))
    assert odd.min() > np.median(usual) + 1


def test_forgetting_undoes_learning() -> None:
    """Protects labelled anomalies from counting as usual: the counts are as if never seen."""
    rows = stream(60)
    with_odd, without = started(), started()
    with_odd.score_and_learn(rows)
    without.score_and_learn(rows, np.arange(60) != 55)
    with_odd.forget(rows[[55, 55]], np.array([55, 55]))
    expected = without.state()[0]
    for name, array in with_odd.state()[0].items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((100, 2)),
        np.full((100, 2), np.nan),
        np.array([[1e300, -1e300]] * 50 + [[-1e300, 1e300]] * 50),
        np.ones((100, 1)) * np.arange(100)[:, None] % 2,
        np.zeros((0, 2)),
    ],
    ids=["constant", "missing", "huge", "two values", "none"],
)
def test_awkward_streams_give_finite_scores(rows: Matrix) -> None:
    """Protects streams from crashing on constants, gaps, and the ends of numbers."""
    trees = started(features=rows.shape[1])
    assert np.isfinite(trees.score_and_learn(rows)).all()


def test_a_constant_that_changes_is_odd() -> None:
    """Protects against trees that cannot split what never varied."""
    trees = started(HalfSpaceTrees(), 2)
    trees.score_and_learn(np.full((250, 2), 3.0))
    scores = trees.score(np.array([[3.0, 3.0], [99.0, 3.0], [-99.0, 3.0]]))
    assert scores[1:].min() > scores[0]


def test_no_features_are_refused() -> None:
    """Protects users from an error of indices."""
    with pytest.raises(UnfitError, match="column"):
        started(features=0)
