"""Which detectors are combined where nobody says which: by the data's looks, not by labels.

No detector is best on all data. Each of those that are combined covers another kind of anomaly:
small samples and isolation what lies far from all, also in groups; histograms what is unusual in
one column; principal components what lies off the main directions, and a forest's proximity what
breaks other links; patterns and networks of labels what breaks a dependency of these. Their mean is
seldom the best and hardly ever bad.

How it came about: an earlier combination (two sizes of samples, histograms, isolation forest,
nearest neighbours) was found with the help of labelled sets. Principal components and the forest's
proximity took the place of the nearest neighbours by anomalies injected among the usual rows of 45
sets, which are found better in every one, and a million rows take a fifth of the time. What
injected anomalies alone choose finds them better still, and labelled ones worse; the figures, and
how often labels were looked at, are in `services/outlier/README.md`.
"""

from dataclasses import dataclass

from services.outlier.domain.detector import Detector, Rows
from services.outlier.domain.detectors.bayes import BayesianNetwork
from services.outlier.domain.detectors.density import Hbos
from services.outlier.domain.detectors.forests import IsolationForest, RandomForestProximity
from services.outlier.domain.detectors.linear import Pca
from services.outlier.domain.detectors.neighbours import SubsampledNeighbours
from services.outlier.domain.detectors.patterns import FrequentPatterns
from services.outlier.domain.preparation import Preparation
from services.outlier.domain.preparation.columns import LabelColumn

_MOST_NETWORK_COLUMNS = 50


@dataclass(frozen=True)
class Traits:
    """What data looks like, as far as the choice depends on it.

    Attributes:
        rows: Number of rows to fit on.
        features: Number of features.
        label_columns: Columns of labels.
        other_columns: All others.
    """

    rows: int
    features: int
    label_columns: int
    other_columns: int

    @classmethod
    def of(cls, preparation: Preparation, rows: Rows) -> "Traits":
        """Returns the traits of prepared rows."""
        labels = sum(isinstance(column, LabelColumn) for column in preparation.columns)
        others = len(preparation.columns) - labels
        return cls(rows.count, rows.values.shape[1], labels, others)


def choose_detectors(traits: Traits) -> dict[str, Detector]:
    """Returns detectors by name, the quick ones first.

    Args:
        traits: What the data looks like.
    """
    chosen: dict[str, Detector] = {
        "subsampled_neighbours": SubsampledNeighbours(),
        "hbos": Hbos(),
        "isolation_forest": IsolationForest(),
        "subsampled_neighbours_32": SubsampledNeighbours(sample_rows=32),
        "pca": Pca(variance=0.9),
        "random_forest_proximity": RandomForestProximity(),
    }
    if traits.label_columns >= 2:
        chosen["frequent_patterns"] = FrequentPatterns()
        if traits.label_columns + traits.other_columns <= _MOST_NETWORK_COLUMNS:
            chosen["bayesian_network"] = BayesianNetwork()
    return chosen
