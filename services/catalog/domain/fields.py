"""Paths of the fields that an import's errors name."""

from common.errors import InvalidFieldError
from common.wording import quoted

IMPORT = "dataset_import.spec"
APPEND = f"{IMPORT}.append"
DATASET = f"{IMPORT}.dataset"
COLUMN_TYPES = f"{IMPORT}.column_types"
CSV = f"{IMPORT}.csv"
ENCODING = f"{CSV}.encoding"
FORMAT = f"{IMPORT}.format"
SPLIT = f"{IMPORT}.split"
TARGET = f"{IMPORT}.target"
TARGETS = f"{IMPORT}.targets"
TASK = f"{IMPORT}.task"
TIME_SERIES = f"{IMPORT}.time_series"
UPLOAD = f"{IMPORT}.upload"
URI = f"{IMPORT}.uri"

_NAMES_SHOWN = 10


def bad_file(description: str, reason: str = "BAD_FILE") -> InvalidFieldError:
    """Returns the error for an upload whose content cannot be imported."""
    return InvalidFieldError(UPLOAD, description, reason=reason)


def listed(names: list[str]) -> str:
    """Returns names for a sentence, shortened where there are many."""
    shown = ", ".join(quoted(name) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
