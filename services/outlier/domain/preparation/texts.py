"""Texts as features: what they are made of, and which words they have."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from services.outlier.domain.detector import Codes, Matrix
from services.outlier.domain.preparation.columns import Scale

BUCKETS = 4096
SHAPES = 5
_MOST_WORDS = 1000


@dataclass(frozen=True)
class TextColumn:
    """A text: its length and make-up, how rare its words are, and what it is about.

    Attributes:
        name: Name of the column.
        shapes: Scales of the shapes of texts, see `shapes_of`, and at last of the words' rarity.
        rarity: Negative logarithm of the share of texts that have a word of each bucket, shape
            (4096,).
        topics: Directions of the words' weights, shape (topics, 4096).
        spread: Spread of the first topic.
    """

    has_codes: ClassVar[bool] = False

    name: str
    shapes: tuple[Scale, ...]
    rarity: npt.NDArray[np.float64]
    topics: npt.NDArray[np.float64]
    spread: float

    @property
    def width(self) -> int:
        """See `PreparedColumn`."""
        return len(self.shapes) + len(self.topics)

    def features(self, values: Values, labels: Sequence[str]) -> Matrix:
        """See `PreparedColumn`."""
        words = [buckets_of(text) for text in values.tolist()]
        raw = np.column_stack([shapes_of(values), mean_rarity(words, self.rarity)])
        scaled = [scale.apply(raw[:, place]) for place, scale in enumerate(self.shapes)]
        found = topics_of(words, self.rarity, self.topics) / self.spread
        return np.column_stack([*scaled, found])

    def codes(self, values: Values, labels: Sequence[str]) -> Codes:
        """Texts have none."""
        raise NotImplementedError


def shapes_of(values: Values) -> Matrix:
    """Returns what texts look like, shape (rows, 5).

    That is the logarithm of the length, the shares of digits, of signs and of capitals, and whether
    it is missing.
    """
    return np.array([_shape(text) for text in values.tolist()], np.float64).reshape(-1, SHAPES)


def _shape(text: str | None) -> tuple[float, float, float, float, float]:
    if not text:
        return 0.0, 0.0, 0.0, 0.0, float(text is None)
    size = len(text)
    digits = sum(letter.isdigit() for letter in text) / size
    signs = sum(not letter.isalnum() and not letter.isspace() for letter in text) / size
    capitals = sum(letter.isupper() for letter in text) / size
    return float(np.log1p(size)), digits, signs, capitals, 0.0


def buckets_of(text: str | None) -> npt.NDArray[np.int64]:
    """Returns the buckets of a text's words, each once; of its first 1,000 words."""
    words = set((text or "").lower().split()[:_MOST_WORDS])
    # A checksum is the same in every process, which Python's hash is not.
    found = {zlib.crc32(word.encode("utf-8", "replace")) % BUCKETS for word in words}
    return np.array(sorted(found), np.int64)


def mean_rarity(
    words: Sequence[npt.NDArray[np.int64]], rarity: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Returns how rare the words of each text are on average, shape (rows,)."""
    return np.array([rarity[each].mean() if len(each) else 0.0 for each in words])


def topics_of(
    words: Sequence[npt.NDArray[np.int64]],
    rarity: npt.NDArray[np.float64],
    topics: npt.NDArray[np.float64],
) -> Matrix:
    """Returns the weights of texts in each topic, shape (rows, topics)."""
    found = np.zeros((len(words), len(topics)))
    for row, each in enumerate(words):
        if len(each):
            weights = rarity[each]
            length = np.sqrt((weights**2).sum()) or 1.0
            found[row] = topics[:, each] @ (weights / length)
    return found
