"""What turns raw columns into a network's inputs, as typed JSON. Imports no numpy."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from common.networks.specification import NetworkInput, Specification

Task = Literal["classification", "regression", "multi_label", "forecasting"]
"""What a network does."""
PREPROCESSING, TOKENIZER = "preprocessing", "tokenizer"
"""Roles of a package's files."""
TOKENIZER_FILE = f"{TOKENIZER}.json"
UNKNOWN_CODE = 0
"""Code of a category that is missing or was not seen in training; labels count from 1."""


class NumericColumn(Specification):
    """Becomes `(value - mean) / scale`; a missing value becomes 0, the mean.

    Attributes:
        name: Column name.
        mean: Mean over the training rows that have a value.
        scale: Their population standard deviation; 1 where that is 0.
    """

    name: str
    mean: float
    scale: float = Field(gt=0)


class CategoricalColumn(Specification):
    """Becomes 1 + the position of its label, or 0 where that is missing or not listed.

    Attributes:
        name: Column name.
        labels: Labels seen in the training rows, sorted.
        size: Number of codes that the network has room for, code 0 included.
    """

    name: str
    labels: tuple[str, ...]
    size: int = Field(ge=1)


class ImageColumn(Specification):
    """Unsigned bytes become `(value / 255 - mean) / scale`, channel by channel.

    Attributes:
        name: Column name.
        shape: Channels, height, width.
        mean: Mean of each channel over the training rows, 0 to 1.
        scale: Population standard deviation of each channel; 1 where that is 0.
    """

    name: str
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    scale: tuple[float, ...]


class TextColumns(Specification):
    """Text columns, joined, become numbers of tokens; see `common.models.tokenization`.

    Attributes:
        names: Column names.
        max_length: Most tokens of a row, that of the beginning included.
        vocabulary_size: Number of tokens that the network has room for, padding included.
        tokenizer: JSON of the library `tokenizers`; of texts of the training rows. A package keeps
            it in a file of its own, see `preprocessing_files`.
    """

    names: tuple[str, ...]
    max_length: int = Field(ge=1)
    vocabulary_size: int = Field(ge=1)
    tokenizer: str


class SeriesColumn(Specification):
    """A window of the target's past becomes values around its own mean, see `models.scaling`.

    Attributes:
        name: Column name.
        window: Values before the first one to forecast.
        season: Steps after which the pattern comes again; 1 for none.
        past: Columns that are known along the window, in the order of the network's input `past`.
        known: Columns that are known along window and horizon, in the order of `known`.
    """

    name: str
    window: int = Field(ge=1)
    season: int = Field(1, ge=1)
    past: tuple[NumericColumn, ...] = ()
    known: tuple[NumericColumn, ...] = ()


class Target(Specification):
    """What is predicted.

    Attributes:
        name: Column name; of several labels the first one's.
        task: What a network does with it.
        classes: In the order of the network's outputs, class labels (classification) or the columns
            of labels (multi-label); empty for values.
        mean: The network's output is `(value - mean) / scale` (regression).
        scale: See `mean`.
        horizon: Steps to forecast (forecasting).
    """

    name: str
    task: Task
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = Field(1.0, gt=0)
    horizon: int = Field(1, ge=1)

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return len(self.classes) if self.has_probabilities else self.horizon

    @property
    def has_probabilities(self) -> bool:
        """Whether outputs stand for probabilities, of classes or of labels."""
        return self.task in ("classification", "multi_label")


class Preprocessing(Specification):
    """Everything between raw columns and network, fitted on training rows only.

    Attributes:
        numeric: Numeric columns, in the order of the network's input `numeric`.
        categorical: Categorical and boolean columns, in the order of `categories`.
        image: The image column; None for tables.
        text: Text columns, the network's input `tokens`; None where there are none.
        series: The column that is forecast from its past; None for others.
        target: What is predicted.
    """

    numeric: tuple[NumericColumn, ...] = ()
    categorical: tuple[CategoricalColumn, ...] = ()
    image: ImageColumn | None = None
    text: TextColumns | None = None
    series: SeriesColumn | None = None
    target: Target

    @property
    def network_input(self) -> NetworkInput:
        """What the network takes in."""
        series = self.series
        return NetworkInput(
            numeric_columns=len(self.numeric),
            category_sizes=tuple(column.size for column in self.categorical),
            image_shape=self.image.shape if self.image else (),
            text_length=self.text.max_length if self.text else 0,
            vocabulary_size=self.text.vocabulary_size if self.text else 0,
            window=series.window if series else 0,
            past_columns=len(series.past) if series else 0,
            known_columns=len(series.known) if series else 0,
            season=series.season if series and series.known else 0,
        )

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns that go in."""
        numeric = tuple(column.name for column in self.numeric)
        categorical = tuple(column.name for column in self.categorical)
        image = (self.image.name,) if self.image else ()
        return numeric + categorical + image + (self.text.names if self.text else ())


def preprocessing_files(preprocessing: Preprocessing) -> dict[str, bytes]:
    """Returns the files of a package that hold a preprocessing, by role."""
    text = preprocessing.text
    if text is None:
        return {PREPROCESSING: preprocessing.model_dump_json(exclude_none=True).encode()}
    named = text.model_copy(update={"tokenizer": TOKENIZER_FILE})
    plain = preprocessing.model_copy(update={"text": named})
    return {
        PREPROCESSING: plain.model_dump_json(exclude_none=True).encode(),
        TOKENIZER: text.tokenizer.encode(),
    }


def preprocessing_of(read: Callable[[str], bytes]) -> Preprocessing:
    """Returns the preprocessing of a package.

    Args:
        read: Returns a file by its role; see `preprocessing_files`.

    Raises:
        ValueError: The files hold none.
    """
    found = Preprocessing.model_validate_json(read(PREPROCESSING))
    if found.text is None:
        return found
    text = found.text.model_copy(update={"tokenizer": read(TOKENIZER).decode()})
    return found.model_copy(update={"text": text})
