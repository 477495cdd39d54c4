"""Problems with pictures: these are told in numbers once, before anything is learned from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from common.data.schema import Column, ColumnType
from common.models.estimators.picture_columns import PictureColumns
from services.tuner.domain.problem import Problem

_PATCHES = ((2_000, 400), (10_000, 200), (50_000, 100))
_FEWEST_PATCHES = 50
_COLUMNS = 128


@dataclass(frozen=True)
class Told:
    """A problem whose pictures are told in numbers.

    Attributes:
        problem: What is learned from: columns of numbers (`EMBEDDING`) in place of pictures.
        columns: What tells pictures in numbers; None where there are none.
    """

    problem: Problem
    columns: PictureColumns | None

    def before(self, estimator: Any) -> Any:
        """Returns an estimator over the problem as it was, for one over the numbers."""
        if self.columns is None:
            return estimator
        return Pipeline([("pictures", self.columns), ("model", estimator)])


def told(problem: Problem, seed: int) -> Told:
    """Returns a problem with its pictures told in numbers, the same each time.

    What is told is learned from all pictures, but never from the target.

    Args:
        problem: Its pictures are cells of bytes; see `picture_cells`.
        seed: Of all chance.
    """
    pictures = [each for each in problem.columns if each.type is ColumnType.IMAGE]
    if not pictures:
        return Told(problem, None)
    shapes = {each.name: each.shape for each in pictures}
    patches = _patches(problem.row_count * len(pictures))
    teller = PictureColumns(shapes, patches, _COLUMNS, seed)
    features = teller.fit_transform(problem.features).drop(columns=list(shapes))
    return Told(replace(problem, columns=_columns(problem, features), features=features), teller)


def _patches(pictures: int) -> int:
    """Returns how many typical patches are told apart: fewer where that takes long."""
    return next((count for most, count in _PATCHES if pictures <= most), _FEWEST_PATCHES)


def _columns(problem: Problem, features: pd.DataFrame) -> tuple[Column, ...]:
    known = {each.name: each for each in problem.columns}
    return tuple(known.get(name) or _number(name, features[name]) for name in features.columns)


def _number(name: str, values: "pd.Series[Any]") -> Column:
    return Column(name, ColumnType.EMBEDDING, distinct_count=len(np.unique(values)))


def parts_of_pictures(names: Sequence[str], groups: Sequence[str], most: int) -> list[str]:
    """Returns the first columns of some groups of what is told of pictures.

    Args:
        names: Of columns `picture.group.place`.
        groups: Names of the groups.
        most: So many of each group at most.
    """
    chosen = []
    for name in names:
        _, group, place = name.rsplit(".", 2)
        if group in groups and int(place) < most:
            chosen.append(name)
    return chosen
