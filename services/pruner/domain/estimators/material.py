"""What estimators are made smaller with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.models.skops_model import SkopsModel
from common.scoring.arrays import Truth
from common.scoring.metric import Metric
from services.pruner.domain.variants import PartSize


@dataclass(frozen=True)
class ModelRows:
    """Rows as a model takes them.

    Attributes:
        features: A data frame, or an array.
        truth: What is true of them: positions of classes, labels, or values.
        labels: The same as the model names it: `classes_` at these positions.
    """

    features: Any
    truth: Truth
    labels: Truth


@dataclass(frozen=True)
class Material:
    """What estimators are made smaller with.

    Attributes:
        model: The model, opened; it is not to be changed.
        learned: Rows that it has learned from.
        choosing: Rows that it has not.
        metric: What counts.
        seed: Of all chance.
        seconds: That may be taken, about.
        check: Called now and then; may raise to stop.
    """

    model: SkopsModel
    learned: ModelRows
    choosing: ModelRows
    metric: Metric
    seed: int
    seconds: float
    check: Callable[[], None]


@dataclass(frozen=True)
class Made:
    """An estimator that was made smaller.

    Attributes:
        name: How, in snake_case.
        estimator: The whole model.
        notes: What was done; whole sentences.
        parts: That became smaller.
        dropped: Columns that it does not ask for any more.
    """

    name: str
    estimator: Any
    notes: tuple[str, ...] = ()
    parts: tuple[PartSize, ...] = ()
    dropped: tuple[str, ...] = ()
