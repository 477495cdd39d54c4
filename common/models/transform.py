"""Applies a preprocessing to raw columns."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from common.models.preprocessing import Preprocessing
from common.networks.kinds.base import PADDING

Values = npt.NDArray[np.generic]
Rows = npt.NDArray[np.int64] | slice

_LENGTH_STEP = 8


class ColumnTransform:
    """Turns rows of raw columns into a network's inputs.

    Columns are as `common.data` decodes them: numbers with NaN for missing, codes into sorted
    labels with -1 for missing, images as unsigned bytes [rows, channels, height, width].
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        columns: Mapping[str, Values],
        labels: Mapping[str, Sequence[str]],
        tokens: Values | None = None,
    ) -> None:
        """Prepares tables and scales.

        Args:
            preprocessing: What to do.
            columns: Raw columns by name; those it needs.
            labels: What the codes of each labelled column stand for.
            tokens: Of the text columns, [rows, `max_length`], where they are known already.
        """
        self._numeric = [columns[column.name] for column in preprocessing.numeric]
        self._means = np.array([column.mean for column in preprocessing.numeric])
        self._scales = np.array([column.scale for column in preprocessing.numeric])
        self._codes = [columns[column.name] for column in preprocessing.categorical]
        self._tables = [
            code_table(labels[column.name], column.labels, first=1, unknown=0)
            for column in preprocessing.categorical
        ]
        image = preprocessing.image
        self._images = None if image is None else columns[image.name]
        if image is not None:
            scales = np.array(image.scale)
            self._factors = (1 / (255 * scales)).astype(np.float32)
            self._offsets = (-np.array(image.mean) / scales).astype(np.float32)
        self._tokens = tokens
        self._text = preprocessing.text
        if tokens is None and self._text is not None:
            self._texts = [columns[name] for name in self._text.names]

    def numeric(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Returns standardised numbers, shape (rows, columns)."""
        block = np.stack([column[rows] for column in self._numeric]).astype(np.float64, copy=False)
        block = (block - self._means[:, None]) / self._scales[:, None]
        block[np.isnan(block)] = 0.0
        return np.ascontiguousarray(block.T, np.float32)

    def categories(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Returns codes, shape (rows, columns)."""
        pairs = zip(self._tables, self._codes, strict=True)
        return np.stack([table[codes[rows]] for table, codes in pairs], axis=1)

    def image(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Returns standardised images, shape (rows, channels, height, width).

        The memory order is channels last, in which convolutions on a CPU take half the time.
        """
        assert self._images is not None
        raw = self._images[rows]
        images = np.empty((len(raw), *raw.shape[2:], raw.shape[1]), np.float32)
        np.multiply(raw.transpose(0, 2, 3, 1), self._factors, out=images, casting="unsafe")
        images += self._offsets
        return images.transpose(0, 3, 1, 2)

    def tokens(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Returns numbers of tokens, shape (rows, tokens of the longest text or a few more).

        Padding changes nothing but time; lengths are multiples of 8, so that there are few.
        """
        return shortened(self._all_tokens(rows))

    def raw(self, name: str, rows: Rows) -> Values:
        """Returns rows of an input before standardisation, as the ONNX twin takes them.

        Args:
            name: `numeric` (float64), `categories` (int64 codes), `image` (uint8) or `tokens`
                (int64, of full length).
            rows: The rows.
        """
        if name == "tokens":
            return self._all_tokens(rows)
        if name == "categories":
            return self.categories(rows)
        if name == "image":
            assert self._images is not None
            return np.ascontiguousarray(self._images[rows])
        return np.stack([column[rows] for column in self._numeric], axis=1).astype(np.float64)

    def _all_tokens(self, rows: Rows) -> npt.NDArray[np.int64]:
        if self._tokens is not None:
            return self._tokens[rows].astype(np.int64)
        assert self._text is not None
        # Here: whoever has no texts does without the library.
        from common.models.tokenization import tokenizer_of  # noqa: PLC0415

        return tokenizer_of(self._text).tokens([column[rows] for column in self._texts])


def shortened(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns tokens without most of the padding that all rows share; see `ColumnTransform`."""
    is_used = (tokens != PADDING).any(axis=0)
    longest = 1 + int(np.flatnonzero(is_used).max(initial=0))
    return tokens[:, : -(-longest // _LENGTH_STEP) * _LENGTH_STEP]


def code_table(
    labels: Sequence[str], known: Sequence[str], *, first: int, unknown: int
) -> npt.NDArray[np.int64]:
    """Returns a table from the codes of a data set to those of a network.

    Args:
        labels: What the data set's codes stand for.
        known: Labels that the network knows, in its order.
        first: The network's code of the first known label.
        unknown: The network's code of every other label, and of -1, which is missing.

    Returns:
        Shape (labels + 1,): index it by the data set's code; -1 finds the last entry.
    """
    positions = {label: first + index for index, label in enumerate(known)}
    codes = [positions.get(label, unknown) for label in labels]
    return np.array([*codes, unknown], np.int64)
