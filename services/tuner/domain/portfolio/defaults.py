"""Candidates that are worth trying first on any table, best known first; on texts, on pictures."""

from collections.abc import Sequence

from common.data.schema import ColumnType
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration

Known = tuple[str, Configuration]

QUICKEST: Known = ("decision_tree", {})
"""Fitted in a moment: a model is there before the first of the others is."""

FLOORS: tuple[Known, ...] = (
    ("light_boosting", {}),
    ("random_forest", {}),
    ("hist_boosting", {}),
)
"""What anybody would try first, the quickest first: nothing worse may come out of a search."""

FIRST: tuple[Known, ...] = (
    ("linear", {}),
    ("perceptron", {}),
    ("extra_trees", {}),
    ("support_vectors", {}),
    ("gaussian_process", {}),
    ("light_boosting", {"num_leaves": 31, "feature_fraction": 0.7, "min_child_samples": 5}),
    ("perceptron", {"pieces": 8}),
    ("light_boosting", {"category_splits": "order"}),
    ("light_boosting", {"linear_tree": True}),
    ("perceptron", {"width": 256}),
    ("extra_trees", {"max_features": 0.75, "min_samples_leaf": 2}),
    ("random_forest", {"max_features": 0.5, "min_samples_leaf": 3}),
    ("nearest_neighbours", {}),
    ("naive_bayes", {}),
)
"""Families with settings other than their defaults.

Families that do not fit are passed over, and so is what a problem's columns do not offer.
"""

_TEXT_FLOORS: tuple[Known, ...] = (("linear", {}), ("naive_bayes", {}))
_TEXT_FIRST: tuple[Known, ...] = (
    ("linear", {"C": 30.0, "prepare.text_words": 2}),
    ("linear", {"C": 30.0, "prepare.text_words": 2, "prepare.text_characters": 4}),
    ("linear", {"C": 10.0, "prepare.text_words": 2, "prepare.text_least": 1}),
    ("support_vectors", {"prepare.text_words": 2}),
    ("naive_bayes", {"prepare.text_words": 2, "prepare.text_characters": 4}),
    ("linear", {"C": 30.0, "prepare.text_words": 2, "prepare.text_characters": 5}),
    ("light_boosting", {}),
    ("perceptron", {}),
    ("extra_trees", {}),
    ("random_forest", {}),
)

_PICTURE_FLOORS: tuple[Known, ...] = (("linear", {}), ("support_vectors", {}))
_PICTURE_FIRST: tuple[Known, ...] = (
    ("perceptron", {}),
    ("support_vectors", {"prepare.pictures": "shapes_and_patches"}),
    ("linear", {"C": 0.1}),
    ("extra_trees", {}),
    ("light_boosting", {}),
    ("nearest_neighbours", {"metric": "cosine", "prepare.picture_columns": 48}),
    ("support_vectors", {"prepare.picture_columns": 64}),
    ("perceptron", {"prepare.pictures": "patches_and_colours"}),
    ("random_forest", {}),
)


def floors_for(problem: Problem) -> Sequence[Known]:
    """Returns what anybody would try first: on texts and pictures no trees, which take long."""
    if _is_pictures(problem):
        return _PICTURE_FLOORS
    return _TEXT_FLOORS if _is_texts(problem) else FLOORS


def usual_for(problem: Problem) -> Sequence[Known]:
    """Returns what is usually good after that, whatever is known of other data."""
    if _is_pictures(problem):
        return _PICTURE_FIRST
    return _TEXT_FIRST if _is_texts(problem) else FIRST


def is_table(problem: Problem) -> bool:
    """Whether a problem is like those that tables teach of: no pictures, not texts alone."""
    return not (_is_pictures(problem) or _is_texts(problem))


def _is_pictures(problem: Problem) -> bool:
    return bool(problem.names(ColumnType.EMBEDDING, ColumnType.IMAGE))


def _is_texts(problem: Problem) -> bool:
    return all(column.type is ColumnType.TEXT for column in problem.columns)
