"""Sparse rows as LIBSVM writes them: `target index:value ... # comment`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.arrow_columns import MAX_WIDTH
from services.catalog.domain.sources.base import (
    Found,
    RawColumn,
    RawKind,
    batch_rows,
    numbered_lines,
)

Row = tuple[float, list[tuple[int, float]]]


class LibsvmSource:
    """The columns `target` and `features`, an embedding."""

    found = Found("target")

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Looks through the file for its width.

        Args:
            path: The file.
            max_bytes: How large the rows may become once their zeros are written out.

        Raises:
            InvalidFieldError: Names the line that is wrong, or the width that is absurd.
        """
        self._path = path
        low, high, rows = 1, 0, 0
        for number, (_, features) in self._rows():
            rows += 1
            if features:
                low, high = min(low, features[0][0]), max(high, features[-1][0])
            if high > MAX_WIDTH:
                raise bad_file(
                    f"line {number} has the index {high}; at most {MAX_WIDTH} features can be "
                    "imported, for they are stored with their zeros",
                    "TOO_WIDE",
                )
        self._first = low  # indices begin with 1, in some files with 0
        self._width = high - low + 1
        if rows and self._width < 1:
            raise bad_file("no row has a feature; write `target index:value ...`", "EMPTY_FILE")
        if rows * self._width * 8 > max_bytes:
            raise bad_file(
                f"{rows:,} rows of {self._width:,} features are more than {max_bytes:,} bytes with "
                "their zeros; import fewer rows or features",
                "TOO_WIDE",
            )
        features_column = RawColumn("features", RawKind.EMBEDDING, (max(self._width, 1),))
        self.columns = [RawColumn("target", RawKind.NUMBER), features_column]

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        step = batch_rows(self._width, 8 * self._width)
        targets: list[float] = []
        dense = np.zeros((step, self._width))
        for _, (target, features) in self._rows():
            for index, value in features:
                dense[len(targets), index - self._first] = value
            targets.append(target)
            if len(targets) == step:
                yield self._batch(targets, dense).select(list(names))
                targets, dense = [], np.zeros((step, self._width))
        if targets:
            yield self._batch(targets, dense[: len(targets)]).select(list(names))

    def _batch(self, targets: list[float], dense: np.ndarray) -> pa.RecordBatch:
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(dense.ravel()), self._width)
        return pa.RecordBatch.from_arrays([pa.array(targets), vectors], ["target", "features"])

    def _rows(self) -> Iterator[tuple[int, Row]]:
        """Yields the rows with their line numbers, indices ascending."""
        with self._path.open("rb") as file:
            for number, line in numbered_lines(file):
                words = line.partition(b"#")[0].split()
                if words:
                    yield number, _row(words, number)


def _row(words: Sequence[bytes], number: int) -> Row:
    try:
        target = float(words[0])
        pairs = [word.split(b":", 1) for word in words[1:]]
        features = [(int(index), float(value)) for index, value in pairs]
    except ValueError:
        raise bad_file(
            f"line {number} is no row of LIBSVM; write `target index:value ...`, without qid and "
            "with one target",
            "UNREADABLE_FILE",
        ) from None
    indices = [index for index, _ in features]
    if sorted(set(indices)) != indices or (indices and indices[0] < 0):
        text = f"line {number} has indices that do not ascend; sort them, each once"
        raise bad_file(text, "UNREADABLE_FILE")
    return target, features
