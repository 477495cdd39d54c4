"""Semi-supervised scores: a few labels teach what unsupervised detectors cannot know."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from sklearn.ensemble import ExtraTreesClassifier

from services.outlier.domain.detector import Card, Generator, Matrix, Rows, Scores, UnfitError
from services.outlier.domain.detectors.trees import DEEPEST, THREADS, Trees, copy_trees

ANOMALY, NORMAL, UNKNOWN = 1, 0, -1

_MOST_UNKNOWN = 5000
_MOST_FEATURES = 500
_FOLDS = 5
_KNOTS = 1001
_SHARES = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.95])
# What these gain in AUROC over the detectors alone, on sets of ADBench with few labels; about in
# proportion to what the detectors leave to be gained, and a loss where that is little.
_USUAL_GAINS = np.array([0.0, 0.03, 0.045, 0.045, 0.04, 0.035])
_LEAST_WEIGHT = 1e-3
_SHARE_OF_ONE = 0.1  # anomaly, at most
_RAREST = 1e-3
_USUAL_MISS = 0.2
_LEAST_MISS = 0.05
_USUAL_WEIGHT = 10  # held-out anomalies that this counts as much as
_LARGEST = 1e30  # float32 holds no more, and scikit-learn refuses it

Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Ranks:
    """Puts scores of one detector on the scale of the share of fitted rows that are less odd.

    Attributes:
        knots: Scores at evenly spaced shares, rising.
        centre: Median of the fitted scores.
        spread: Their range between quartiles, or 1.
    """

    knots: Scores
    centre: float
    spread: float

    @classmethod
    def of(cls, scores: Scores) -> "Ranks":
        """Returns the scale of fitted scores, shape (rows,)."""
        knots = np.quantile(scores, np.linspace(0, 1, _KNOTS))
        low, centre, high = np.quantile(scores, [0.25, 0.5, 0.75])
        return cls(knots, float(centre), float(high - low) or 1.0)

    def rank(self, scores: Scores) -> Scores:
        """Returns the shares, between 0 and 1; beyond all fitted scores larger is yet odder."""
        below = np.searchsorted(self.knots, scores, "left")
        upto = np.searchsorted(self.knots, scores, "right")
        with np.errstate(over="ignore"):  # infinitely far has an angle too
            beyond = np.arctan((scores - self.centre) / self.spread) / np.pi + 0.5
        return np.asarray(0.999 * (below + upto) / (2 * _KNOTS) + 0.001 * beyond)


@dataclass(frozen=True)
class SemiSupervisedScorer:
    """A blend of what detectors say without labels and of what trees learned from labels.

    Attributes:
        ranks: Scale of each detector's scores.
        trees: Give the chance that a row is an anomaly, from its features and ranks.
        learned: Scale of these chances.
        features: Positions of the features that trees see.
        share: Of the trees in the score, 0 to 1: how much they helped with labels held out.
    """

    ranks: tuple[Ranks, ...]
    trees: Trees
    learned: Ranks
    features: npt.NDArray[np.int64]
    share: float

    def score(self, rows: Rows, base_scores: Matrix) -> Scores:
        """Returns how odd rows are, between 0 and 1.

        Args:
            rows: Any rows.
            base_scores: What the fitted detectors say of them, shape (rows, detectors).
        """
        ranks = _ranks(self.ranks, base_scores)
        usual: Scores = ranks.mean(axis=1)
        if not self.share:
            return _stress(usual)
        return _blend(usual, self.learned.rank(self._chances(rows, ranks)), self.share)

    def chances(self, rows: Rows, base_scores: Matrix) -> Scores:
        """Returns what trees alone say: the chance that a row is an anomaly, shape (rows,).

        It is as if there were as many anomalies as normal rows. Arguments are those of `score`.
        """
        return self._chances(rows, _ranks(self.ranks, base_scores))

    def _chances(self, rows: Rows, ranks: Matrix) -> Scores:
        return self.trees.mean(_seen(rows, self.features, ranks))


class SemiSupervised(BaseModel):
    """Learns from labels and from the scores of unsupervised detectors together.

    The scores are features beside those of the rows (XGBOD: Zhao and Hryniewicz 2018). Rows without
    a label count a little as normal, less so the odder they are. The share of what is learned is
    that which finds held-out anomalies best, 0 where it is no help.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trees: Annotated[int, Field(ge=10, le=500)] = 200
    """Number of trees."""
    depth: Annotated[int, Field(ge=2, le=DEEPEST)] = 10
    """Levels of splits, at most."""
    unknown_weight: Annotated[float, Field(ge=0, le=1)] = 0.2
    """How much a row without a label counts as normal, beside one with a label."""

    card: ClassVar[Card] = Card(
        fits="Tables with labels of some anomalies, from a handful to all.",
        cost="fit O(trees n log n), score O(trees depth)",
        source="Zhao, Hryniewicz: XGBOD: Improving Supervised Outlier Detection with "
        "Unsupervised Representation Learning, 2018",
        most_rows=100_000,
    )

    def fit(
        self, rows: Rows, labels: Labels, base_scores: Matrix, generator: Generator
    ) -> SemiSupervisedScorer:
        """Teaches the trees, and finds out how far to trust them.

        Args:
            rows: At least two rows.
            labels: 1 anomaly, 0 normal, -1 unknown, shape (rows,).
            base_scores: What unsupervised detectors say of the rows, shape (rows, detectors).
            generator: The only source of randomness.

        Raises:
            UnfitError: No anomaly is labelled, or nothing that could be normal is there.
        """
        _check(labels)
        scales = tuple(Ranks.of(scores) for scores in base_scores.T)
        ranks = _ranks(scales, base_scores)
        chosen = _choose(labels, generator)
        labels, ranks, usual = labels[chosen], ranks[chosen], ranks[chosen].mean(axis=1)
        spread = rows.values[chosen].clip(-_LARGEST, _LARGEST).std(axis=0)
        features = np.sort(np.argsort(-spread, kind="stable")[:_MOST_FEATURES])
        seen = _seen(rows.take(chosen), features, ranks)
        chances = self._hold_out(seen, labels, usual, generator)
        others = labels != ANOMALY
        learned = Ranks.of(chances[others])
        share = _best_share(learned.rank(chances), usual, others)
        trees = self._learn(seen, labels, usual, generator)
        return SemiSupervisedScorer(scales, trees, learned, features, share)

    def _hold_out(
        self, seen: Matrix, labels: Labels, usual: Scores, generator: Generator
    ) -> Scores:
        """Returns what trees say of rows that they were not taught, shape (rows,)."""
        folds = _draw_folds(labels, generator)
        chances = np.empty(len(seen))
        for fold in np.unique(folds):
            out = folds == fold
            known = ~out if (labels[~out] == ANOMALY).any() else ~out | (labels == ANOMALY)
            trees = self._learn(seen[known], labels[known], usual[known], generator)
            chances[out] = trees.mean(seen[out])
        return chances

    def _learn(self, seen: Matrix, labels: Labels, usual: Scores, generator: Generator) -> Trees:
        """Returns trees whose leaves give the chance of an anomaly."""
        unsure = np.maximum(self.unknown_weight * (1 - usual), _LEAST_WEIGHT)
        weights = np.where(labels == UNKNOWN, unsure, 1.0)
        odd = labels == ANOMALY
        weights[odd] *= weights[~odd].sum() / weights[odd].sum()
        forest = ExtraTreesClassifier(
            self.trees,
            max_depth=self.depth,
            n_jobs=THREADS,
            random_state=int(generator.integers(2**31)),
        )
        forest.fit(seen, odd, weights)
        grown = [estimator.tree_ for estimator in forest.estimators_]
        return copy_trees(grown, [tree.value[:, 0, 1] for tree in grown], self.depth)


def _check(labels: Labels) -> None:
    """Raises an error where there is nothing to learn from."""
    if not (labels == ANOMALY).any():
        raise UnfitError("No row is labelled as an anomaly. Label some, or leave the labels out.")
    if (labels != ANOMALY).sum() < 2:
        raise UnfitError("Nearly all rows are labelled as anomalies. Add rows that are normal.")


def _choose(labels: Labels, generator: Generator) -> npt.NDArray[np.int64]:
    """Returns the rows with labels, and some thousand of the others."""
    unknown = np.flatnonzero(labels == UNKNOWN)
    if len(unknown) > _MOST_UNKNOWN:
        unknown = generator.choice(unknown, _MOST_UNKNOWN, replace=False)
    return np.concatenate([np.flatnonzero(labels != UNKNOWN), unknown])


def _ranks(scales: tuple[Ranks, ...], base_scores: Matrix) -> Matrix:
    """Returns the ranks of the detectors' scores, shape (rows, detectors)."""
    columns = zip(scales, base_scores.T, strict=True)
    return np.stack([scale.rank(scores) for scale, scores in columns], axis=1)


def _seen(rows: Rows, features: npt.NDArray[np.int64], ranks: Matrix) -> Matrix:
    """Returns what trees see: features and ranks, shape (rows, features + detectors)."""
    return np.concatenate([rows.values[:, features].clip(-_LARGEST, _LARGEST), ranks], axis=1)


def _blend(usual: Scores, learned: Scores, share: float) -> Scores:
    """Returns ranks of both kinds as one; `share` of it is learned."""
    return (1 - share) * _stress(usual) + share * _stress(learned)


def _stress(ranks: Scores) -> Scores:
    """Returns minus the logarithms of the shares of odder rows, scaled to between 0 and 1.

    The order of usual rows is chance; added up as they are, ranks would let it hide odd rows.
    """
    return np.asarray(np.log1p(-ranks * (1 - _RAREST)) / np.log(_RAREST))


def _draw_folds(labels: Labels, generator: Generator) -> npt.NDArray[np.int64]:
    """Draws the fold of each row: anomalies and others are spread evenly, shape (rows,)."""
    folds = np.empty(len(labels), np.int64)
    others = np.flatnonzero(labels != ANOMALY)
    count = min(_FOLDS, len(others))
    for some in (others, np.flatnonzero(labels == ANOMALY)):
        folds[some] = generator.permutation(len(some)) % count
    return folds


def _best_share(learned: Scores, usual: Scores, others: npt.NDArray[np.bool_]) -> float:
    """Returns the share of the trees that ranks held-out anomalies best among other rows.

    What usually helps counts as some anomalies more, so that chance decides less where they are
    few; and the fewer they are the less is learned, so that it can do little harm.

    Args:
        learned: Ranks by trees that were not taught the row, shape (rows,).
        usual: Ranks by the detectors, shape (rows,).
        others: Which rows are no known anomalies, shape (rows,).
    """
    places = []
    for share in _SHARES:
        blended = _blend(usual, learned, share)
        places.append(Ranks.of(blended[others]).rank(blended[~others]))
    gains = np.stack(places, axis=1) - places[0][:, None]
    tested = gains if len(gains) > 1 else gains[:0]  # one anomaly cannot be taught and held out
    missed = 1 - float(places[0].mean())
    usually = _USUAL_GAINS * (missed - _LEAST_MISS) / (_USUAL_MISS - _LEAST_MISS)
    expected = tested.sum(axis=0) + _USUAL_WEIGHT * usually
    allowed = _SHARE_OF_ONE * (len(gains) + 1) >= _SHARES
    return float(_SHARES[expected[allowed].argmax()])
