"""All families, by name."""

from services.tuner.domain.families.bayes import NaiveBayes
from services.tuner.domain.families.family import Family
from services.tuner.domain.families.hist_boosting import HistBoosting
from services.tuner.domain.families.lightgbm_boosting import LightBoosting
from services.tuner.domain.families.linear import Linear
from services.tuner.domain.families.neighbours import NearestNeighbours
from services.tuner.domain.families.perceptron import Perceptron
from services.tuner.domain.families.processes import GaussianProcess
from services.tuner.domain.families.trees import EXTRA_TREES, RANDOM_FOREST, DecisionTree
from services.tuner.domain.families.vectors import SupportVectors

_ALL: tuple[Family, ...] = (
    LightBoosting(),
    HistBoosting(),
    Perceptron(),
    Linear(),
    NaiveBayes(),
    NearestNeighbours(),
    SupportVectors(),
    GaussianProcess(),
    DecisionTree(),
    RANDOM_FOREST,
    EXTRA_TREES,
)

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
