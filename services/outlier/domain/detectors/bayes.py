"""A Bayesian network: rows that its probabilities make unlikely are odd."""

import warnings
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from services.outlier.domain.detector import (
    Card,
    Codes,
    Detector,
    Generator,
    Matrix,
    Rows,
    Scores,
    UnfitError,
)

_MOST_COLUMNS = 50
_MOST_STATES = 24  # a table has states ** (1 + parents) numbers
_MOST_CANDIDATES = 300
_MOST_CELLS = 250_000  # to find the links from; the tables are counted from all rows
_MOST_STEPS = 200
_CHUNK = 16_384

Whole = npt.NDArray[np.int64]
Parents = list[list[int]]


@dataclass(frozen=True)
class States:
    """The few states that the many codes of a column stand for; state 0 is missing or never seen.

    Attributes:
        columns: Positions of the columns taken, shape (columns,).
        starts: Where each column's codes start in `states`, shape (columns,).
        largest: Largest code of each column that was seen, shape (columns,).
        states: Of the codes of all columns, one column after the other.
        counts: States of each column, shape (columns,).
    """

    columns: Whole
    starts: Whole
    largest: Whole
    states: Whole
    counts: Whole

    def of(self, codes: Codes) -> Whole:
        """Returns the states of rows, shape (rows, columns taken)."""
        taken = codes[:, self.columns]
        known = (taken >= 0) & (taken <= self.largest)
        states: Whole = self.states[self.starts + np.where(known, taken, 0)]
        return states


@dataclass(frozen=True)
class Surprise:
    """A value that the network makes unlikely.

    Attributes:
        column: Position of its column among all coded ones.
        given: Positions of the columns that it depends on.
        probability: Of the value, given theirs.
    """

    column: int
    given: tuple[int, ...]
    probability: float


@dataclass(frozen=True)
class BayesianScorer:
    """Probability tables of a Bayesian network, one after the other.

    Attributes:
        states: Finds the states of codes.
        parents: Places of each column's parents, shape (columns, most parents).
        strides: What a parent's state adds to a place in the tables, shaped alike; 0: no parent.
        starts: Where the columns' tables start, shape (columns,).
        surprises: Minus logarithms of the probabilities.
    """

    states: States
    parents: Whole
    strides: Whole
    starts: Whole
    surprises: npt.NDArray[np.float64]

    def score(self, rows: Rows) -> Scores:
        """Returns the negative log-likelihood of rows, in nats."""
        scores = np.empty(rows.count)
        for start in range(0, rows.count, _CHUNK):
            part = slice(start, start + _CHUNK)
            scores[part] = self.by_column(rows.codes[part]).sum(axis=1)
        return scores

    def by_column(self, codes: Codes) -> Matrix:
        """Returns how much each column surprises, given its parents, in nats.

        Args:
            codes: Of rows, shape (rows, all columns).

        Returns:
            Parts of the scores, shape (rows, `states.columns`).
        """
        states = self.states.of(codes)
        places = states + self.starts
        for parent in range(self.parents.shape[1]):
            places += states[:, self.parents[:, parent]] * self.strides[:, parent]
        surprises: Matrix = self.surprises[places]
        return surprises

    def surprising(self, codes: Codes, below: float = 0.01, most: int = 5) -> list[Surprise]:
        """Names the values of a row that are unlikely, the least likely first.

        Args:
            codes: One row, shape (all columns,).
            below: Probability from which on nothing is surprising.
            most: Values to name, at most.
        """
        probabilities = np.exp(-self.by_column(codes[None])[0])
        order = np.argsort(probabilities, kind="stable")[:most]
        return [
            Surprise(int(self.states.columns[at]), self._given(at), float(probabilities[at]))
            for at in order
            if probabilities[at] < below
        ]

    def _given(self, at: int) -> tuple[int, ...]:
        """Returns positions of the columns that one depends on."""
        places = self.parents[at][self.strides[at] > 0]
        return tuple(self.states.columns[places].tolist())


class BayesianNetwork(Detector):
    """Likelihood of rows in a Bayesian network of labels and bins of numbers.

    The links are the tree of most mutual information (Chow and Liu 1968), or found by hill climbing
    on the Bayesian information criterion. Probabilities are smoothed as Laplace did.
    """

    structure: Literal["tree", "hill_climbing"] = "tree"
    """How links between columns are found: `tree` is quicker, with one parent for each column."""
    most_parents: Annotated[int, Field(ge=1, le=2)] = 2
    """Columns that one depends on, at most; for hill climbing."""
    smoothing: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Rows that each value is counted more often than it was seen."""

    card: ClassVar[Card] = Card(
        fits="Labels, and numbers in bins, that depend on each other; says which column surprises.",
        cost="fit O(n columns^2), score O(columns)",
        source="Chow, Liu: Approximating discrete probability distributions with dependence "
        "trees, 1968",
        most_rows=1_000_000,
    )

    def fit(self, rows: Rows, generator: Generator) -> BayesianScorer:
        """Finds the links on some thousand rows, and counts the tables on all."""
        columns = _columns(rows)
        size = min(rows.count, _MOST_CELLS // max(len(columns), _MOST_COLUMNS))
        sample = rows.codes[generator.choice(rows.count, size, replace=False)]
        information = _information(_find_states(sample, columns), sample)
        if len(columns) > _MOST_COLUMNS:
            best = np.sort(np.argsort(-information.sum(axis=1), kind="stable")[:_MOST_COLUMNS])
            columns, information = columns[best], information[np.ix_(best, best)]
        states = _find_states(rows.codes, columns)
        if self.structure == "tree":
            parents = _tree(information)
        else:
            parents = _climb(states.of(sample), self.most_parents)
        return _count(states, states.of(rows.codes), parents, self.smoothing)


def _columns(rows: Rows) -> Whole:
    """Returns the columns among which links are looked for.

    Raises:
        UnfitError: There are too many, or none.
    """
    count = rows.codes.shape[1]
    if not count:
        raise UnfitError("There are no columns to link. Choose some.")
    if count > _MOST_CANDIDATES:
        raise UnfitError(
            f"Links are looked for among at most {_MOST_CANDIDATES} columns, and there are "
            f"{count}. Choose some of them, or another detector."
        )
    return np.arange(count)


def _find_states(codes: Codes, columns: Whole) -> States:
    """Gives the most frequent codes of each column a state, and one to all the others seen."""
    maps, counts = [], []
    for column in columns:
        found, seen = np.unique(codes[:, column], return_counts=True)
        frequent = np.argsort(-seen[found > 0], kind="stable")
        known = found[found > 0][frequent]
        states = np.zeros(max(int(found.max()), 0) + 1, np.int64)
        states[known] = np.minimum(np.arange(1, len(known) + 1), _MOST_STATES - 1)
        maps.append(states)
        counts.append(int(states.max()) + 1)
    sizes = np.array([len(states) for states in maps])
    return States(
        columns, np.cumsum(sizes) - sizes, sizes - 1, np.concatenate(maps), np.array(counts)
    )


def _information(states: States, codes: Codes) -> Matrix:
    """Returns how much of the Bayesian criterion a link of two columns gains, in nats a row.

    It is their mutual information less the price of the probabilities that the link adds; 0 where
    it does not pay.

    Args:
        states: Finds the states of codes.
        codes: Of rows, shape (rows, all columns).

    Returns:
        Shape (columns, columns), zero on the diagonal.
    """
    taken = states.of(codes)
    first = np.cumsum(states.counts) - states.counts
    places, total = taken + first, int(states.counts.sum())
    shares = np.bincount(places.ravel(), minlength=total) / len(taken)
    price = np.log(len(taken)) / (2 * len(taken))
    gains = np.zeros((len(first), len(first)))
    for column, (start, count) in enumerate(zip(first, states.counts, strict=True)):
        pairs = (taken[:, column, None] * total + places).ravel()
        together = np.bincount(pairs, minlength=count * total).reshape(count, total) / len(taken)
        alone = shares[start : start + count, None] * shares
        ratio = np.divide(together, alone, out=np.ones_like(alone), where=together > 0)
        gains[column] = np.add.reduceat((together * np.log(ratio)).sum(axis=0), first)
        gains[column] -= price * (count - 1) * (states.counts - 1)
    np.fill_diagonal(gains, 0)
    return np.maximum(gains, 0)


def _tree(information: Matrix) -> Parents:
    """Returns each column's parent in the tree of most information, or none."""
    tree = minimum_spanning_tree(-information)
    parents: Parents = [[] for _ in information]
    seen: set[int] = set()
    for root in range(len(information)):
        if root in seen:
            continue
        order, before = breadth_first_order(tree, root, directed=False)
        seen.update(order.tolist())
        for column in order[1:].tolist():
            parents[column] = [int(before[column])]
    return parents


def _climb(states: Whole, most_parents: int) -> Parents:
    """Returns each column's parents as hill climbing finds them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what pgmpy and its own packages will one day change
        from pgmpy.causal_discovery import HillClimbSearch  # noqa: PLC0415  # takes seconds

        # pgmpy takes whole numbers for continuous ones.
        table = pd.DataFrame(states.astype(str), columns=[str(at) for at in range(states.shape[1])])
        search = HillClimbSearch(
            "bic-d",
            max_indegree=most_parents,
            max_iter=_MOST_STEPS,
            return_type="dag",
            show_progress=False,
        )
        links = search.fit(table).causal_graph_.edges()
    parents: Parents = [[] for _ in range(states.shape[1])]
    for parent, column in sorted((int(parent), int(column)) for parent, column in links):
        parents[column].append(parent)
    return parents


def _count(states: States, taken: Whole, parents: Parents, smoothing: float) -> BayesianScorer:
    """Counts the probability tables of all columns."""
    most = max(1, *(len(of_column) for of_column in parents), 0)
    places, strides = (np.zeros((len(parents), most), np.int64) for _ in range(2))
    tables: list[npt.NDArray[np.float64]] = []
    for column, of_column in enumerate(parents):
        place, size = taken[:, column], int(states.counts[column])
        values = size
        for at, parent in enumerate(of_column):
            places[column, at], strides[column, at] = parent, size
            place = place + taken[:, parent] * size
            size *= int(states.counts[parent])
        counts = np.bincount(place, minlength=size).reshape(-1, values) + smoothing
        tables.append(-np.log(counts / counts.sum(axis=1, keepdims=True)).ravel())
    sizes = np.array([len(table) for table in tables])
    return BayesianScorer(states, places, strides, np.cumsum(sizes) - sizes, np.concatenate(tables))
