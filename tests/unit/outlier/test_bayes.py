import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pgmpy.estimators import TreeSearch
from pgmpy.factors.discrete import TabularCPD
from pgmpy.models import DiscreteBayesianNetwork

from services.outlier.domain.detector import Codes, UnfitError
from services.outlier.domain.detectors.bayes import BayesianNetwork, BayesianScorer
from tests.unit.outlier.support import code_rows

CLIMBING = BayesianNetwork(structure="hill_climbing")


def chain(count: int, columns: int = 4, seed: int = 0) -> Codes:
    """Each column mostly follows the one before it."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(1, 4, (count, columns))
    for column in range(1, columns):
        follows = generator.random(count) < 0.9
        codes[follows, column] = codes[follows, column - 1]
    return codes.astype(np.int32)


def fitted(codes: npt.ArrayLike, detector: BayesianNetwork | None = None) -> BayesianScorer:
    return (detector or BayesianNetwork()).fit(code_rows(codes), np.random.default_rng(0))


def links(detector: BayesianScorer) -> set[frozenset[int]]:
    places, held = detector.parents, detector.strides > 0
    return {
        frozenset((column, int(places[column, at])))
        for column, at in zip(*np.nonzero(held), strict=True)
    }


def test_tree_is_that_of_pgmpy() -> None:
    """Protects the structure, against Chow and Liu's tree as pgmpy finds it."""
    codes = chain(2000, columns=6)
    table = pd.DataFrame(codes.astype(str), columns=[str(at) for at in range(6)])
    theirs = TreeSearch(table, root_node="0", n_jobs=1).estimate(show_progress=False)
    expected = {frozenset((int(one), int(other))) for one, other in theirs.edges()}
    assert links(fitted(codes)) == expected


@pytest.mark.parametrize("detector", [BayesianNetwork(), CLIMBING], ids=["tree", "climbing"])
def test_likelihood_is_that_of_pgmpy(detector: BayesianNetwork) -> None:
    """Protects the tables and their indexing: pgmpy's probability of rows, from the same counts."""
    codes = chain(500)
    scorer = fitted(codes, detector)
    network = DiscreteBayesianNetwork()
    network.add_nodes_from(map(str, range(4)))
    states = scorer.states.of(codes)
    for column in range(4):
        parents = [
            int(place)
            for place, stride in zip(scorer.parents[column], scorer.strides[column], strict=True)
            if stride
        ]
        network.add_edges_from((str(parent), str(column)) for parent in parents)
        names = [str(parent) for parent in parents] or None
        sizes = [int(scorer.states.counts[at]) for at in [column, *parents]]
        counts = np.ones(sizes)
        np.add.at(counts, tuple(states[:, [column, *parents]].T), 1)
        shares = (counts / counts.sum(axis=0)).reshape(sizes[0], -1)
        network.add_cpds(TabularCPD(str(column), sizes[0], shares, names, sizes[1:] or None))
    assert network.check_model()
    for at in range(3):
        row = {str(column): int(states[at, column]) for column in range(4)}
        expected = -np.log(network.get_state_probability(row))
        assert scorer.score(code_rows(codes[at : at + 1]))[0] == pytest.approx(expected)


def test_hill_climbing_finds_two_parents() -> None:
    """Protects what trees cannot say: a column that depends on two others together."""
    codes = np.random.default_rng(0).integers(1, 3, (2000, 4)).astype(np.int32)
    codes[:, 2] = np.where(np.random.default_rng(1).random(2000) < 0.1, codes[:, 2], codes[:, 0])
    codes[:, 2] += 2 * (codes[:, 1] == 2)
    scorer = fitted(codes, CLIMBING)
    assert {frozenset((0, 2)), frozenset((1, 2))} <= links(scorer)
    assert scorer.strides[:, 0].size == 4


def test_a_broken_link_is_odd_and_named() -> None:
    """Protects finding the row and the column: each value alone is usual."""
    scorer = fitted(chain(2000))
    usual, broken = np.array([[1, 1, 1, 1]], np.int32), np.array([[1, 1, 1, 3]], np.int32)
    assert scorer.score(code_rows(broken))[0] > scorer.score(code_rows(usual))[0] + 2
    rise = scorer.by_column(broken) - scorer.by_column(usual)
    assert rise[0].argmax() == 3


def test_values_never_seen_are_odd() -> None:
    """Protects new labels and missing values, in constant columns too."""
    codes = chain(1000)
    codes[:, 3] = 5
    scores = fitted(codes).score(
        code_rows([[1, 1, 1, 5], [1, 1, 1, 0], [1, 1, 1, 99], [1, 1, 1, 4]])
    )
    assert scores[0] + 5 < scores[1] == scores[2] == scores[3]


def test_columns_without_links_stay_alone() -> None:
    """Protects against links that chance made."""
    codes = np.random.default_rng(0).integers(1, 9, (300, 10))
    assert links(fitted(codes)) == set()


def test_many_columns_many_labels() -> None:
    """Protects time and memory: the linked columns of 200 are kept, tables stay small."""
    codes = np.random.default_rng(0).integers(1, 1000, (2000, 200)).astype(np.int32)
    codes[:, 100:104] = chain(2000)
    scorer = fitted(codes)
    assert {100, 101, 102, 103} <= set(scorer.states.columns.tolist())
    assert len(scorer.states.columns) == 50
    assert scorer.surprises.size < 50 * 24**2


@pytest.mark.parametrize("columns", [0, 301])
def test_says_how_many_columns_it_takes(columns: int) -> None:
    """Protects the sentence that tells users what to do."""
    with pytest.raises(UnfitError, match="Choose some"):
        fitted(np.ones((5, columns)))


def test_no_column_is_its_own_ancestor() -> None:
    """Protects probabilities that sum to one: the links form no circle."""
    for detector in (BayesianNetwork(), CLIMBING):
        scorer = fitted(chain(500, columns=8), detector)
        linked = np.zeros((8, 8), np.int64)
        for column, at in zip(*np.nonzero(scorer.strides), strict=True):
            linked[column, scorer.parents[column, at]] = 1
        assert linked.any()
        assert not np.linalg.matrix_power(linked, 8).any()


def test_rows_are_scored_alone() -> None:
    """Protects chunks, and that the same seed gives the same."""
    codes = chain(20_000)
    together = fitted(codes).score(code_rows(codes))
    assert np.array_equal(together[-1:], fitted(codes).score(code_rows(codes[-1:])))


@settings(max_examples=40)
@given(
    codes=arrays(
        np.int32, st.tuples(st.integers(2, 12), st.integers(1, 5)), elements=st.integers(0, 5)
    ),
    others=arrays(np.int32, (7, 5), elements=st.integers(0, 2**31 - 1)),
)
def test_any_codes_are_scored(codes: Codes, others: Codes) -> None:
    """Protects against codes nobody thought of, few rows, constants and duplicates."""
    scores = fitted(codes).score(code_rows(others[:, : codes.shape[1]]))
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
