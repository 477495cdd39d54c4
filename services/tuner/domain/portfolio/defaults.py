"""Candidates that are worth trying first on any table, best known first."""

from services.tuner.domain.space.configuration import Configuration

FLOORS: tuple[tuple[str, Configuration], ...] = (
    ("light_boosting", {}),
    ("random_forest", {}),
    ("hist_boosting", {}),
)
"""What anybody would try first, the quickest first: nothing worse may come out of a search."""

FIRST: tuple[tuple[str, Configuration], ...] = (
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
