"""Archives of text files in a folder per class."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from common.data.schema import ColumnType
from services.catalog.domain.fields import bad_file
from services.catalog.domain.sources.archive_files import Archive, ArchiveFile
from services.catalog.domain.sources.base import Found, RawColumn, RawKind, batch_rows
from services.catalog.domain.sources.folders import LABEL_COLUMN, Sample, samples

TEXT_COLUMN = "text"

_MAX_FILE_BYTES = 16 * 1024**2


class TextArchiveSource:
    """UTF-8 texts in class folders, by the order of their names; empty files are missing texts."""

    found = Found(LABEL_COLUMN)

    def __init__(self, archive: Archive) -> None:
        """Looks at the names of the files.

        Args:
            archive: The archive; must stay open.

        Raises:
            InvalidFieldError: Names the file that cannot be imported, and why.
        """
        self._archive = archive
        self._samples = samples(archive, _MAX_FILE_BYTES)
        if not self._samples:
            raise bad_file(
                "the archive holds no files; put text files into a folder a class", "EMPTY_FILE"
            )
        self.columns = [
            RawColumn(TEXT_COLUMN, RawKind.STRING, type=ColumnType.TEXT),
            RawColumn(LABEL_COLUMN, RawKind.STRING),
        ]

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        start = 0
        while start < len(self._samples):
            chosen = self._samples[start : start + self._step(start)]
            arrays = [self._values(name, chosen) for name in names]
            yield pa.RecordBatch.from_arrays(arrays, names=list(names))
            start += len(chosen)

    def _step(self, start: int) -> int:
        """Returns how many files from one on go into a batch: as many as the largest allows."""
        following = self._samples[start : start + batch_rows(1, 1)]
        largest, step = 1, 0
        for sample in following:
            largest = max(largest, sample.file.file_size)
            if step >= batch_rows(1, largest):
                break
            step += 1
        return step

    def _values(self, name: str, chosen: Sequence[Sample]) -> pa.Array:
        if name == LABEL_COLUMN:
            return pa.array([sample.label for sample in chosen], pa.string())
        return pa.array([self._text(sample.file) for sample in chosen], pa.string())

    def _text(self, file: ArchiveFile) -> str | None:
        content = self._archive.read(file)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise bad_file(
                f"`{file.filename}` is no UTF-8 text: byte {error.start} does not fit; save it as "
                "UTF-8 or take it out of the archive",
                "UNREADABLE_FILE",
            ) from None
        if "\0" in text:
            raise bad_file(
                f"`{file.filename}` is no text: it has zero bytes; take it out of the archive",
                "UNREADABLE_FILE",
            )
        return text or None
