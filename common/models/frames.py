"""Columns of the tables that estimators of scikit-learn were fitted on. Imports scikit-learn."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from common.models.estimators.picture_cells import cells_of

if TYPE_CHECKING:
    import pandas as pd

Values = npt.NDArray[np.generic]

NUMBER, TRUTH, TEXT, PIXELS = "float64", "bool", "object", "uint8"

# Where estimators that are made of others keep them; some of these are not fitted.
_PARTS = (
    *("best_estimator_", "estimator_", "regressor_", "estimators_", "calibrated_classifiers_"),
    *("estimator", "_preprocessor"),
)
_MAX_PARTS = 16
_MAX_WORDS = 50


@dataclass(frozen=True)
class FrameColumn:
    """A column that an estimator takes.

    Attributes:
        name: Its name; its position where the estimator was fitted without names.
        dtype: `float64`, `bool`, `object` for texts, or `uint8` for pictures.
        known: Values that the estimator knows; empty where any number or text will do.
        shape: Channels, height, width of a picture; empty for single values.
        missing: What stands for no text: None where the estimator has learned that.
    """

    name: str
    dtype: str
    known: tuple[object, ...] = ()
    shape: tuple[int, ...] = ()
    missing: float | None = math.nan


def columns_of(estimator: Any, names: Sequence[str]) -> tuple[FrameColumn, ...]:
    """Returns the columns of a fitted estimator, with what its encoders tell of them.

    Args:
        estimator: The estimator or pipeline.
        names: Names of its features, in order.
    """
    known: dict[int, tuple[object, ...]] = {}
    with_none: set[int] = set()
    for position, values in known_values(estimator, range(len(names))):
        known.setdefault(position, tuple(each for each in values if not is_missing(each)))
        if any(each is None for each in values):
            with_none.add(position)
    return tuple(
        _column(name, known.get(position, ()), None if position in with_none else math.nan)
        for position, name in enumerate(names)
    )


def frame_of(columns: Sequence[FrameColumn], inputs: Mapping[str, Values]) -> "pd.DataFrame":
    """Returns the data frame of values by column name.

    Missing texts become what the estimator has learned, pictures the cells that our own take.
    """
    # Imported here: models of plain numbers do without.
    import pandas as pd  # noqa: PLC0415

    return pd.DataFrame({each.name: _series(inputs[each.name], each.missing) for each in columns})


def is_missing(value: object) -> bool:
    """Whether a value stands for none."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _series(values: Values, missing: float | None) -> "pd.Series[Any]":
    import pandas as pd  # noqa: PLC0415

    if values.ndim > 1:
        return pd.Series(cells_of(np.asarray(values, np.uint8)), dtype=object)
    if values.dtype.kind != "O":
        return pd.Series(values)
    filled = [missing if is_missing(value) else value for value in values.tolist()]
    return pd.Series(filled, dtype=object)


def _column(name: str, known: tuple[object, ...], missing: float | None) -> FrameColumn:
    if known and isinstance(known[0], np.ndarray):
        return FrameColumn(name, PIXELS, known, known[0].shape)
    return FrameColumn(name, _dtype(known), known, missing=missing)


def _dtype(known: Sequence[object]) -> str:
    if not known:
        return NUMBER
    if all(isinstance(each, bool | np.bool_) for each in known):
        return TRUTH
    if all(isinstance(each, int | float | np.number) for each in known):
        return NUMBER
    return TEXT


def known_values(part: Any, columns: Sequence[int]) -> Iterator[tuple[int, Sequence[object]]]:
    """Yields positions of columns with values that a part of a pipeline knows of them.

    Args:
        part: An estimator or transformer.
        columns: Positions of the columns that it takes, in order.
    """
    if getattr(part, "n_features_in_", len(columns)) != len(columns):
        return
    if isinstance(part, Pipeline):
        for _, step in part.steps:
            if step is None or isinstance(step, str):
                continue  # "passthrough"
            yield from known_values(step, columns)
            if not isinstance(step, SimpleImputer):
                break
    elif isinstance(part, ColumnTransformer):
        for name, step, _ in getattr(part, "transformers_", ()):
            chosen = part._transformer_to_input_indices.get(name, ())
            yield from known_values(step, [columns[index] for index in chosen])
    elif hasattr(part, "known_values"):  # Transformers of our own.
        yield from ((columns[position], values) for position, values in part.known_values())
    elif hasattr(part, "categories_"):
        yield from zip(columns, (each.tolist() for each in part.categories_), strict=False)
    elif hasattr(part, "build_analyzer"):
        yield from ((column, _words(part)) for column in columns)
    elif isinstance(part, SimpleImputer):
        for column, fill in zip(columns, getattr(part, "statistics_", ()), strict=False):
            if isinstance(fill, str):
                yield column, [fill]
    else:
        for below in _parts(part):
            yield from known_values(below, columns)


def _words(vectorizer: Any) -> list[str]:
    """Returns some words that a text vectorizer knows."""
    return sorted(getattr(vectorizer, "vocabulary_", {}))[:_MAX_WORDS] or ["word"]


def _parts(estimator: Any) -> Iterator[Any]:
    for name in _PARTS:
        found = getattr(estimator, name, None)
        if isinstance(found, list):
            yield from found[:_MAX_PARTS]
        elif found is not None:
            yield found
