"""The file formats of imports, and what is known of each without reading it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class DataFormat(StrEnum):
    """File format of an upload, named as in `aimass.catalog.v1.DataFormat`."""

    CSV = "csv"
    NPZ = "npz"
    IMAGE_ZIP = "image_zip"
    IMAGE_TAR = "image_tar"
    TEXT_ARCHIVE = "text_archive"
    PARQUET = "parquet"
    JSON_LINES = "json_lines"
    ARROW = "arrow"
    ARFF = "arff"
    LIBSVM = "libsvm"


@dataclass(frozen=True)
class Looks:
    """What files of a format look like.

    Attributes:
        endings: How their names end, before `.gz` and the like.
        start: What they begin with; empty where they are text, which may be compressed.
        is_of_lines: Whether several files can be joined line by line.
    """

    endings: tuple[str, ...]
    start: bytes = b""
    is_of_lines: bool = False

    @property
    def is_text(self) -> bool:
        """Whether they hold text."""
        return not self.start


LOOKS: Mapping[DataFormat, Looks] = MappingProxyType(
    {
        DataFormat.CSV: Looks((".csv", ".tsv"), is_of_lines=True),
        DataFormat.NPZ: Looks((".npz",), start=b"PK\x03\x04"),
        DataFormat.PARQUET: Looks((".parquet",), start=b"PAR1"),
        DataFormat.JSON_LINES: Looks((".jsonl", ".ndjson"), is_of_lines=True),
        DataFormat.ARROW: Looks((".arrow", ".arrows", ".feather"), start=b"ARROW1"),
        DataFormat.ARFF: Looks((".arff",)),
        DataFormat.LIBSVM: Looks((".libsvm", ".svm"), is_of_lines=True),
    }
)
"""All but archives of class folders, whose contents decide."""
