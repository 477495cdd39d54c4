"""Models that ask for fewer columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.base import clone, is_classifier

from common.models.estimators.fewer_columns import FewerColumnsClassifier, FewerColumnsRegressor
from common.models.estimators.filled_columns import (
    FilledColumnsClassifier,
    FilledColumnsRegressor,
    Filler,
)
from services.pruner.domain.classical.rows import Rows, losses_of
from services.pruner.domain.estimators.material import Made, Material
from services.pruner.domain.features.needed import needed_columns
from services.pruner.domain.features.verdicts import FewerColumns
from services.pruner.domain.variants import PartSize

_MOST_NAMED = 20


def fewer_columns(material: Material) -> Iterator[Made]:
    """Yields a model that asks for the columns alone that it needs; nothing where it needs all.

    Estimators that can be fitted again are; into others typical values go instead of the columns
    that they do without.
    """
    if not material.model.is_named or np.ndim(material.learned.truth) != 1:
        return
    way = _way(material)
    found = needed_columns(
        material.model.estimator,
        way.without,
        material.learned.features,
        material.learned.labels,
        material.choosing.features,
        material.choosing.labels,
        lambda model, frame, truth: losses_of(model, Rows(frame, np.asarray(truth))),
        material.seed,
        material.check,
        material.seconds,
    )
    names = list(material.learned.features.columns)
    dropped = [name for name in names if name not in found.kept]
    if not dropped:
        return
    yield Made(
        name=f"columns_{len(found.kept)}",
        estimator=way.without(list(found.kept)),
        notes=tuple(_notes(found)),
        parts=(PartSize("model", "fewer_columns", len(names), len(found.kept)),),
        dropped=tuple(dropped),
    )


class _Way(Protocol):
    def without(self, kept: Sequence[str]) -> Any:
        """Returns a model that asks for some columns."""
        ...


@dataclass(frozen=True)
class _Refitting:
    """Fits the model again on fewer columns."""

    material: Material

    def without(self, kept: Sequence[str]) -> Any:
        """Returns a model that asks for some columns."""
        self.material.check()
        learned = self.material.learned
        names = list(learned.features.columns)
        fitted = clone(self.material.model.estimator).fit(
            learned.features[list(kept)], learned.labels
        )
        of = FewerColumnsClassifier if is_classifier(fitted) else FewerColumnsRegressor
        return of.of(fitted, kept, names)


@dataclass(frozen=True)
class _Filling:
    """Gives the model typical values instead of columns."""

    material: Material
    typical: dict[str, Filler]

    def without(self, kept: Sequence[str]) -> Any:
        """Returns a model that asks for some columns."""
        model = self.material.model.estimator
        fillers = {name: value for name, value in self.typical.items() if name not in kept}
        of = FilledColumnsClassifier if is_classifier(model) else FilledColumnsRegressor
        return of.of(model, list(self.typical), fillers)


def _way(material: Material) -> _Way:
    """Returns how a model comes to ask for fewer columns."""
    features = material.learned.features
    refitting = _Refitting(material)
    try:
        refitting.without(list(features.columns)[:-1])
    except (ValueError, TypeError, KeyError, IndexError):
        # It is made of fitted ones, or names columns that are not there any more.
        return _Filling(material, {name: _typical(features[name]) for name in features.columns})
    return refitting


def _typical(values: "pd.Series[Any]") -> Filler:
    """Returns the median of numbers, else what comes most often."""
    known = values.dropna()
    if not len(known):
        return None if values.dtype == object else float("nan")
    if values.dtype.kind == "f":
        return float(known.median())
    commonest = known.value_counts().index[0]
    return bool(commonest) if values.dtype.kind == "b" else str(commonest)


def _notes(found: FewerColumns) -> Iterator[str]:
    gone = [each for each in found.verdicts if not each.is_kept]
    for each in gone[:_MOST_NAMED]:
        yield f"`{each.name}` goes. {each.reason}"
    if len(gone) > _MOST_NAMED:
        yield f"{len(gone) - _MOST_NAMED} more columns go."
