"""All detectors by the names that specifications give them."""

from collections.abc import Mapping
from types import MappingProxyType

from services.outlier.domain.detector import Detector
from services.outlier.domain.detectors.bayes import BayesianNetwork
from services.outlier.domain.detectors.clustering import Cblof, Dbscan, Hdbscan, KMeans
from services.outlier.domain.detectors.density import GaussianMixture, Hbos, Kde
from services.outlier.domain.detectors.forests import (
    ExtendedIsolationForest,
    IsolationForest,
    RandomForestProximity,
)
from services.outlier.domain.detectors.linear import Mahalanobis, Pca
from services.outlier.domain.detectors.neighbours import Knn, Lof, SubsampledNeighbours
from services.outlier.domain.detectors.neural import AutoEncoder
from services.outlier.domain.detectors.patterns import FrequentPatterns
from services.outlier.domain.detectors.statistics import Copod, Ecod

DETECTORS: Mapping[str, type[Detector]] = MappingProxyType(
    {
        "auto_encoder": AutoEncoder,
        "bayesian_network": BayesianNetwork,
        "cblof": Cblof,
        "copod": Copod,
        "dbscan": Dbscan,
        "ecod": Ecod,
        "extended_isolation_forest": ExtendedIsolationForest,
        "frequent_patterns": FrequentPatterns,
        "gaussian_mixture": GaussianMixture,
        "hbos": Hbos,
        "hdbscan": Hdbscan,
        "isolation_forest": IsolationForest,
        "kde": Kde,
        "kmeans": KMeans,
        "knn": Knn,
        "lof": Lof,
        "mahalanobis": Mahalanobis,
        "pca": Pca,
        "random_forest_proximity": RandomForestProximity,
        "subsampled_neighbours": SubsampledNeighbours,
    }
)
