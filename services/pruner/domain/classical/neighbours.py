"""Nearest neighbours among fewer rows."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.cluster import MiniBatchKMeans

from services.pruner.domain.classical.rows import (
    Candidate,
    Floats,
    Reduced,
    Rows,
    Values,
    accepted,
    named,
)
from services.pruner.domain.trees.likely_rows import dense

_SHARES = (0.5, 0.25, 0.1, 0.05, 0.02)


def prototypes(
    estimator: Any, learned: Rows, held_out: Rows, seed: int, check: Callable[[], None]
) -> Iterator[Reduced]:
    """Yields neighbours among prototypes: centres of each class, or of all rows for numbers.

    Of classes, rows among whose neighbours another class prevails go first (Wilson, Asymptotic
    properties of nearest neighbor rules using edited data, 1972).
    """
    before = int(estimator.n_samples_fit_)
    for each in accepted(_candidates(estimator, learned, seed, check), estimator, held_out):
        note = (
            f"{each.size} prototypes stand for {before} rows; each asks its neighbours as before."
        )
        yield Reduced("prototypes", each.estimator, each.size, before, (note,))


def _candidates(
    estimator: Any, learned: Rows, seed: int, check: Callable[[], None]
) -> Iterator[Candidate]:
    features, truth = dense(learned.features), learned.truth
    of_classes = is_classifier(estimator)
    if of_classes and not np.array_equal(np.unique(truth), estimator.classes_):
        return
    groups = truth if of_classes else np.zeros(len(truth))
    if of_classes:
        agrees = estimator.predict(learned.features) == truth
        # A class of which nobody is left keeps all its rows.
        agrees |= ~np.isin(truth, truth[agrees])
        features, truth, groups = features[agrees], truth[agrees], groups[agrees]
    for share in _SHARES:
        check()
        points, answers = _centres(features, truth, groups, share, seed)
        for count in sorted({estimator.n_neighbors, max(1, estimator.n_neighbors // 2)}):
            if count > len(points):
                continue
            fitted = clone(estimator).set_params(n_neighbors=count)
            yield Candidate(fitted.fit(named(estimator, points), answers), len(points))


def _centres(
    features: Floats, truth: Values, groups: Values, share: float, seed: int
) -> tuple[Floats, Values]:
    """Returns centres of each group of rows and what they answer."""
    points, answers = [], []
    for group in np.unique(groups):
        own = features[groups == group]
        count = min(len(own), max(1, round(share * len(own))))
        means = MiniBatchKMeans(count, n_init=1, random_state=seed).fit(own)
        is_taken = np.bincount(means.labels_, minlength=count) > 0
        points.append(means.cluster_centers_[is_taken])
        answers.append(_answers(truth[groups == group], means.labels_, group, is_taken))
    return np.concatenate(points), np.concatenate(answers)


def _answers(truth: Values, labels: Values, group: Any, is_taken: Values) -> Values:
    """Returns the class of a group's centres, or the means of their rows."""
    if (truth == group).all():
        return truth[: int(is_taken.sum())]
    counts = np.bincount(labels, minlength=len(is_taken))
    sums = np.bincount(labels, truth, minlength=len(is_taken))
    return sums[is_taken] / counts[is_taken]
