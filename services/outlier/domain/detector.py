"""What all detectors share: prepared rows, a typed configuration that is fitted, and a score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Matrix = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Generator = np.random.Generator


@dataclass(frozen=True)
class Rows:
    """Rows as detectors take them: the same rows seen as numbers and as codes.

    Attributes:
        values: Standardised numbers without gaps, shape (rows, features).
        codes: The columns as small whole numbers, shape (rows, columns): labels, and bins of
            numbers; 0 is missing or never seen.
    """

    values: Matrix
    codes: Codes

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.values)

    def take(self, chosen: npt.NDArray[np.generic] | slice) -> "Rows":
        """Returns some of the rows, by position or by truth value."""
        return Rows(self.values[chosen], self.codes[chosen])


def concatenated_rows(pieces: Sequence[Rows]) -> Rows:
    """Returns the rows of several pieces, at least one, in order."""
    values = np.concatenate([piece.values for piece in pieces])
    return Rows(values, np.concatenate([piece.codes for piece in pieces]))


@dataclass(frozen=True)
class Card:
    """What users are told of a detector.

    Attributes:
        fits: For what data and anomalies it is good, one sentence.
        cost: What fitting n rows of d features and scoring a row cost, for example
            `fit O(n log n), score O(log n)`.
        source: Author, title and year of where it was published.
        most_rows: It is fitted on a sample of at most so many rows.
    """

    fits: str
    cost: str
    source: str
    most_rows: int


class Fitted(Protocol):
    """A detector that has seen its data: a frozen dataclass.

    Its fields are arrays, numbers, texts, truth values, and fitted parts made of the same: that is
    what can be kept without pickle. One that holds anything else cannot be kept.
    """

    def score(self, rows: Rows) -> Scores:
        """Returns how odd rows are, shape (rows,): finite, larger is odder.

        A row's score does not depend on the rows beside it.
        """
        ...


class Detector(BaseModel):
    """A detector's typed parameters; fitting leaves them as they are.

    Subclasses are named in `detectors.registry` and have the fields of their proto message.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    card: ClassVar[Card]

    def fit(self, rows: Rows, generator: Generator) -> Fitted:
        """Learns what is usual.

        Args:
            rows: At least two rows.
            generator: The only source of randomness.

        Raises:
            UnfitError: The data is not for this detector; says why.
        """
        raise NotImplementedError


class UnfitError(ValueError):
    """A detector cannot be used on the data it was given. Its text is for users."""
