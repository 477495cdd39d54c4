"""How texts become tokens: settings, and their defaults by the data."""

from collections.abc import Sequence

from pydantic import Field

from common.data.schema import Column, ColumnType
from common.errors import InvalidFieldError
from common.models.preprocessing import Preprocessing
from common.networks.specification import Specification

_VOCABULARY_SIZE = 4_096
_LETTERS_PER_TOKEN = 3
_LONG_TEXT = 19
"""Place of the 95th percentile among percentiles."""
_LEAST_LENGTH, _USUAL_LENGTH, _MOST_LENGTH = 16, 128, 256
_STEP = 8


class TextSettings(Specification):
    """Settings of the tokenizer; see `TextSpec`."""

    vocabulary_size: int | None = Field(None, ge=300, le=65_536)
    max_length: int | None = Field(None, ge=2, le=4_096)


def resolved_text(
    settings: TextSettings | None,
    columns: Sequence[Column],
    known: Preprocessing | None,
    field: str,
) -> TextSettings | None:
    """Returns the settings with nothing left open; None where there are no texts.

    Args:
        settings: What the caller asked for.
        columns: Feature columns.
        known: The preprocessing that the run keeps; None where it is fitted.
        field: Path of the settings in the request, for errors.

    Raises:
        InvalidFieldError: There are settings and no text, or others than those that the run keeps.
    """
    texts = [each for each in columns if each.type is ColumnType.TEXT]
    if not texts:
        if settings is not None:
            raise InvalidFieldError(field, "No feature is a column of text; leave this out.")
        return None
    asked = settings or TextSettings()
    if known is not None and known.text is not None:
        kept = TextSettings(
            vocabulary_size=known.text.vocabulary_size, max_length=known.text.max_length
        )
        _check_kept(asked, kept, field)
        return kept
    return TextSettings(
        vocabulary_size=asked.vocabulary_size or _VOCABULARY_SIZE,
        max_length=asked.max_length or _usual_length(texts),
    )


def _check_kept(asked: TextSettings, kept: TextSettings, field: str) -> None:
    for name, value in kept.model_dump().items():
        if getattr(asked, name) not in (None, value):
            raise InvalidFieldError(
                f"{field}.{name}",
                f"The run keeps the tokenizer of its parent or teacher, with {value}; leave this "
                "out.",
            )


def _usual_length(texts: Sequence[Column]) -> int:
    """Returns tokens for which nearly all texts need not be cut."""
    letters = 0.0
    for column in texts:
        found = column.text_length
        if found is None:
            return _USUAL_LENGTH
        letters += found.percentiles[_LONG_TEXT] if found.percentiles else found.max
    tokens = -(-int(letters / _LETTERS_PER_TOKEN + 1) // _STEP) * _STEP
    return min(max(tokens, _LEAST_LENGTH), _MOST_LENGTH)
