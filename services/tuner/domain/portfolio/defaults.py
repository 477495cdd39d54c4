"""Candidates that are worth trying first on any table, best known first."""

from services.tuner.domain.space.configuration import Configuration

FIRST: tuple[tuple[str, Configuration], ...] = (
    ("light_boosting", {}),
    ("random_forest", {}),
    ("hist_boosting", {}),
    ("linear", {}),
    ("extra_trees", {}),
    ("perceptron", {}),
    ("support_vectors", {}),
    ("nearest_neighbours", {}),
    ("gaussian_process", {}),
    ("naive_bayes", {}),
)
"""Families with settings other than their defaults; families that do not fit are passed over."""
