"""Forests: random trees that isolate odd rows, and trees that tell rows from made-up ones."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from sklearn.ensemble import RandomForestClassifier

from services.outlier.domain.detector import (
    Card,
    Detector,
    Generator,
    Matrix,
    Rows,
    Scores,
    UnfitError,
)
from services.outlier.domain.detectors.growing import grow, path_length
from services.outlier.domain.detectors.trees import (
    DEEPEST,
    THREADS,
    Leaves,
    Trees,
    by_chunks,
    copy_trees,
    nearness,
)

_LARGEST = 1e30  # float32 holds no more, and scikit-learn refuses it
_NOWHERE_NEAR = 1e-9


@dataclass(frozen=True)
class IsolationScorer:
    """Isolating trees: rows that few splits tell from all others are odd.

    Attributes:
        trees: A leaf's value is its path's length.
        usual: Path length in a tree of as many rows as each was grown from.
    """

    trees: Trees
    usual: float

    def score(self, rows: Rows) -> Scores:
        """Returns `2 ** -(mean path length / usual length)`, between 0 and 1; 0.5 is usual."""
        scores: Scores = np.exp2(-self.trees.mean(rows.values) / self.usual)
        return scores


class IsolationForest(Detector):
    """Isolation forest of Liu, Ting and Zhou (2008, "Isolation Forest").

    A tree splits a sample of the rows at random thresholds of random features. Odd rows are alone
    after few splits.
    """

    trees: Annotated[int, Field(ge=1, le=1000)] = 100
    """Number of trees."""
    sample_rows: Annotated[int, Field(ge=2, le=4096)] = 256
    """Rows that each tree is grown from."""

    card: ClassVar[Card] = Card(
        fits="Tables of any size whose odd rows stand out in some features; a first choice.",
        cost="fit O(trees sample log sample), score O(trees log sample)",
        source="Liu, Ting, Zhou: Isolation Forest, 2008",
        most_rows=10_000_000,
    )

    def fit(self, rows: Rows, generator: Generator) -> IsolationScorer:
        """Grows the trees."""
        return _isolate(rows.values, self.trees, self.sample_rows, 0, generator)


class ExtendedIsolationForest(Detector):
    """Extended isolation forest of Hariri, Carrasco Kind and Brunner (2019).

    Trees split by planes of random slope, so that no bands along the axes look usual. Thresholds
    lie within the projected rows, so that no branch is empty (Lesouple et al., 2021).
    """

    trees: Annotated[int, Field(ge=1, le=500)] = 100
    """Number of trees."""
    sample_rows: Annotated[int, Field(ge=2, le=1024)] = 256
    """Rows that each tree is grown from."""
    features_per_split: Annotated[int, Field(ge=1, le=32)] = 8
    """Features that a plane is made of, at most; all is Hariri's full extension."""

    card: ClassVar[Card] = Card(
        fits="Numbers that depend on each other: clusters and slanted shapes.",
        cost="fit O(trees sample log sample), score O(trees log sample features_per_split)",
        source="Hariri, Carrasco Kind, Brunner: Extended Isolation Forest, 2019",
        most_rows=10_000_000,
    )

    def fit(self, rows: Rows, generator: Generator) -> IsolationScorer:
        """Grows the trees."""
        return _isolate(
            rows.values, self.trees, self.sample_rows, self.features_per_split, generator
        )


def _isolate(
    values: Matrix, trees: int, sample_rows: int, mixed: int, generator: Generator
) -> IsolationScorer:
    """Returns the forest; `mixed` features make a plane, none for splits of single features."""
    size = min(sample_rows, len(values))
    samples = (_sample(values, size, generator).astype(np.float32) for _ in range(trees))
    return IsolationScorer(grow(samples, mixed, generator), float(path_length(np.array(size))))


def _sample(values: Matrix, size: int, generator: Generator) -> Matrix:
    """Returns some of the rows, with numbers that float32 holds."""
    if not values.shape[1]:
        raise UnfitError("There are no features to split by. Choose some columns.")
    chosen: Matrix = values[generator.choice(len(values), size, replace=False)]
    return chosen.clip(-_LARGEST, _LARGEST)


@dataclass(frozen=True)
class ProximityScorer:
    """A forest and the leaves in which the rows ended that it knows.

    Attributes:
        trees: Tell rows from made-up ones; their values are not used.
        leaves: Of the known rows, shape (trees, known rows).
    """

    trees: Trees
    leaves: Leaves

    def score(self, rows: Rows) -> Scores:
        """Returns minus the logarithm of the mean squared proximity to the known rows."""
        known = self.leaves.shape[1]

        def far(part: Matrix) -> Scores:
            near = nearness(self.trees.leaves(part), self.leaves) / known
            distance: Scores = -np.log(np.maximum(near, _NOWHERE_NEAR))
            return distance

        return by_chunks(far, rows.values)


class RandomForestProximity(Detector):
    """Proximity in a forest that was taught without labels (Breiman 2001; Shi and Horvath 2006).

    The forest tells rows from made-up ones, whose features are shuffled each for itself. Rows that
    seldom share a leaf with others are odd: they break what links the features.
    """

    trees: Annotated[int, Field(ge=10, le=500)] = 100
    """Number of trees."""
    known_rows: Annotated[int, Field(ge=2, le=5000)] = 1000
    """Rows that others are compared to; a larger set is sampled."""
    depth: Annotated[int, Field(ge=2, le=DEEPEST)] = 6
    """Levels of splits, at most."""

    card: ClassVar[Card] = Card(
        fits="Rows that break relations between features, of mixed kinds and scales.",
        cost="fit O(trees known_rows log known_rows), score O(trees known_rows)",
        source="Breiman: Random Forests, 2001; Shi, Horvath: Unsupervised Learning With Random "
        "Forest Predictors, 2006",
        most_rows=100_000,
    )

    def fit(self, rows: Rows, generator: Generator) -> ProximityScorer:
        """Teaches the forest, and keeps the leaves of the rows it was taught."""
        size = min(self.known_rows, rows.count)
        known = _sample(rows.values, size, generator)
        made_up = generator.permuted(known, axis=0)
        forest = RandomForestClassifier(
            self.trees,
            max_depth=self.depth,
            n_jobs=THREADS,
            random_state=int(generator.integers(2**31)),
        )
        forest.fit(np.concatenate([known, made_up]), np.repeat([1, 0], size))
        grown = [estimator.tree_ for estimator in forest.estimators_]
        trees = copy_trees(grown, [tree.value[:, 0, -1] for tree in grown], self.depth)
        return ProximityScorer(trees, trees.leaves(known))
