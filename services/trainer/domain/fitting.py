"""Fits the preprocessing on the training rows, in one pass over the data in bounded memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from common.data.reader import ColumnBatch
from common.data.schema import LABEL_TYPES, ColumnType, Part, Schema
from common.data.split import Parts
from common.errors import InvalidFieldError
from common.models.preprocessing import (
    CategoricalColumn,
    ImageColumn,
    NumericColumn,
    Preprocessing,
    Target,
    TextColumns,
)
from common.models.tokenization import Thinned, joined_texts, trained_tokenizer
from services.trainer.domain.specification import FIELD, TrainingSpecification

_TOKENIZER_LETTERS = 16_000_000
"""Letters of training texts that a tokenizer learns from, at most."""

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Selection = Callable[[slice, Parts], Bools]
"""Says which rows of a piece train, from their numbers and their parts of the split."""


@dataclass
class Moments:
    """Mean and sum of squared deviations of several series, merged piece by piece.

    Merging follows Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances" (1979).
    """

    count: Float64
    mean: Float64
    deviations: Float64

    @classmethod
    def of(cls, values: Float64) -> "Moments":
        """Returns the moments of each row of `values`, shape (series, values); NaN is left out."""
        missing = np.isnan(values)
        if not missing.any():
            count = np.full(len(values), float(values.shape[1]))
            return cls._around(values, count)
        count = (~missing).sum(axis=1).astype(np.float64)
        mean = np.where(missing, 0.0, values).sum(axis=1) / np.maximum(count, 1)
        moments = cls._around(np.where(missing, mean[:, None], values), count)
        return cls(count, mean, moments.deviations)

    @classmethod
    def _around(cls, values: Float64, count: Float64) -> "Moments":
        if values.shape[1] == 0:
            return cls(count, np.zeros(len(values)), np.zeros(len(values)))
        mean = values.mean(axis=1)
        centred = values - mean[:, None]
        return cls(count, mean, np.einsum("ij,ij->i", centred, centred))

    def merge(self, other: "Moments") -> None:
        """Adds another piece of the same series."""
        total = self.count + other.count
        share = other.count / np.maximum(total, 1)
        delta = other.mean - self.mean
        self.deviations = self.deviations + other.deviations + delta**2 * self.count * share
        self.mean = self.mean + delta * share
        self.count = total

    def scales(self) -> Float64:
        """Returns the population standard deviations; 1 where a series is constant or empty.

        What is constant but for rounding counts as constant: dividing by such noise would make
        large inputs of it.
        """
        deviation = np.sqrt(self.deviations / np.maximum(self.count, 1))
        noise = 1e-12 * np.abs(self.mean)
        return np.where((deviation > noise) & np.isfinite(deviation), deviation, 1.0)


@dataclass
class _ImageSums:
    pixels: int = 0
    total: Float64 = field(default_factory=lambda: np.zeros(0))
    squares: Float64 = field(default_factory=lambda: np.zeros(0))

    def add(self, images: npt.NDArray[np.uint8]) -> None:
        sums = images.sum(axis=(0, 2, 3), dtype=np.uint64).astype(np.float64)
        squares = np.square(images, dtype=np.uint16).sum(axis=(0, 2, 3), dtype=np.uint64)
        if self.pixels == 0:
            self.total, self.squares = np.zeros_like(sums), np.zeros_like(sums)
        self.pixels += images.shape[0] * images.shape[2] * images.shape[3]
        self.total += sums
        self.squares += squares


class _Fit:
    """What one pass collects."""

    def __init__(self, specification: TrainingSpecification, schema: Schema) -> None:
        columns = [schema.column(name) for name in specification.features]
        self._labels = specification.targets
        self._target = schema.column(specification.target_columns[0])
        self._task = specification.task
        self._numeric = [column for column in columns if column.type is ColumnType.NUMERIC]
        self._labelled = [column for column in columns if column.type in LABEL_TYPES]
        self._image = next((column for column in columns if column.type is ColumnType.IMAGE), None)
        self._series = [column.name for column in self._numeric]
        if specification.task == "regression":
            self._series.append(self._target.name)
        self._moments: Moments | None = None
        self._seen = {column.name: np.zeros(0, np.int64) for column in self._labelled}
        self._images = _ImageSums()
        self._text = specification.text
        self._texts = Thinned(_TOKENIZER_LETTERS)
        self._text_names = [column.name for column in columns if column.type is ColumnType.TEXT]
        self._values = np.zeros(0)
        self._training_values = np.zeros(0)

    def add(self, batch: ColumnBatch, is_training: Bools) -> None:
        """Takes a piece of the data in, of which these rows train."""
        columns: dict[str, npt.NDArray[Any]] = {
            name: values[is_training] for name, values in batch.columns.items()
        }
        if self._series:
            block = np.stack([columns[name] for name in self._series]).astype(
                np.float64, copy=False
            )
            piece = Moments.of(block)
            if self._moments is None:
                self._moments = piece
            else:
                self._moments.merge(piece)
        for column in self._labelled:
            codes = np.union1d(self._seen[column.name], columns[column.name])
            self._seen[column.name] = codes
        if self._image is not None:
            self._images.add(columns[self._image.name])
        if self._text_names:
            self._texts.add(joined_texts([columns[name] for name in self._text_names]))
        if self._task == "classification":
            self._values = np.union1d(self._values, batch.columns[self._target.name])
            self._training_values = np.union1d(self._training_values, columns[self._target.name])

    def finish(self) -> Preprocessing:
        """Returns the fitted preprocessing."""
        numeric = tuple(
            NumericColumn(name=column.name, mean=mean, scale=scale)
            for column, mean, scale in zip(
                self._numeric, self._means(), self._scales(), strict=False
            )
        )
        categorical = tuple(
            CategoricalColumn(
                name=column.name,
                labels=tuple(column.labels[code] for code in self._seen[column.name] if code >= 0),
                size=len(column.labels) + 1,
            )
            for column in self._labelled
        )
        return Preprocessing(
            numeric=numeric,
            categorical=categorical,
            image=self._image_column() if self._image else None,
            text=self._text_columns() if self._text_names else None,
            target=self._fit_target(),
        )

    def _means(self) -> list[float]:
        return self._moments.mean.tolist() if self._moments else []

    def _scales(self) -> list[float]:
        return self._moments.scales().tolist() if self._moments else []

    def _image_column(self) -> ImageColumn:
        assert self._image is not None
        channels, height, width = self._image.shape
        mean = self._images.total / max(1, self._images.pixels) / 255
        square = self._images.squares / max(1, self._images.pixels) / 255**2
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        return ImageColumn(
            name=self._image.name,
            shape=(channels, height, width),
            mean=tuple(mean.tolist()),
            scale=tuple(np.where(deviation > 1e-6, deviation, 1.0).tolist()),
        )

    def _text_columns(self) -> TextColumns:
        settings = self._text
        assert settings is not None
        assert settings.vocabulary_size is not None and settings.max_length is not None
        return TextColumns(
            names=tuple(self._text_names),
            max_length=settings.max_length,
            vocabulary_size=settings.vocabulary_size,
            tokenizer=trained_tokenizer(
                self._texts.kept, settings.vocabulary_size, settings.max_length
            ),
        )

    def _fit_target(self) -> Target:
        name = self._target.name
        if self._task == "multi_label":
            return Target(name=name, task="multi_label", classes=self._labels)
        if self._task == "regression":
            return Target(
                name=name, task="regression", mean=self._means()[-1], scale=self._scales()[-1]
            )
        if len(self._training_values) < 2:
            raise InvalidFieldError(
                f"{FIELD}.target",
                f"The training rows hold only one class of `{name}`; split the data otherwise.",
                reason="ONE_CLASS",
            )
        return Target(name=name, task="classification", classes=self._classes())

    def _classes(self) -> tuple[str, ...]:
        if self._target.type in LABEL_TYPES:
            return self._target.labels
        return tuple(number_label(value) for value in self._values.tolist())


def fit_preprocessing(
    specification: TrainingSpecification, schema: Schema, batches: Iterable[ColumnBatch]
) -> Preprocessing:
    """Fits the preprocessing.

    Args:
        specification: Resolved against the data.
        schema: Schema of the data.
        batches: All rows, with at least the columns that `columns_needed` names.

    Returns:
        What turns columns into inputs: statistics of training rows only. Class labels are those
        of all rows, so that every row has one.

    Raises:
        InvalidFieldError: The training rows hold only one class.
    """
    (preprocessing,) = fit_selections(specification, schema, batches, [training_rows])
    return preprocessing


def fit_selections(
    specification: TrainingSpecification,
    schema: Schema,
    batches: Iterable[ColumnBatch],
    selections: Sequence[Selection],
) -> list[Preprocessing]:
    """Fits a preprocessing on each of several selections of rows, in one pass.

    Args:
        specification: Resolved against the data.
        schema: Schema of the data.
        batches: See `fit_preprocessing`.
        selections: Say which rows train.

    Raises:
        InvalidFieldError: The training rows hold only one class.
    """
    fits = [_Fit(specification, schema) for _ in selections]
    start = 0
    for batch in batches:
        rows = slice(start, start + batch.row_count)
        for fit, selection in zip(fits, selections, strict=True):
            fit.add(batch, selection(rows, batch.parts))
        start = rows.stop
    return [fit.finish() for fit in fits]


def training_rows(rows: slice, parts: Parts) -> Bools:
    """The selection of all training rows."""
    trains: Bools = parts == Part.TRAIN
    return trains


def columns_needed(specification: TrainingSpecification) -> Sequence[str]:
    """Returns the columns that a run reads."""
    if specification.forecast is not None:
        forecast = specification.forecast
        known = (specification.target, forecast.time_column, *forecast.series_columns)
        return [*known, *forecast.covariates]
    weight = [specification.weight_column] if specification.weight_column else []
    return [*specification.features, *specification.target_columns, *weight]


def number_label(value: float) -> str:
    """Returns the label of a class that is a number: `3` for 3.0."""
    return str(int(value)) if value == int(value) else repr(value)
