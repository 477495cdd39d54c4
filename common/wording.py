"""How messages to callers name their fields and their own values."""

import re

_MOST_CHARACTERS = 60
_MOST_EXACT = 2**53


def snake_case(name: str) -> str:
    """Returns the name of a field of a message: `training_run` for `TrainingRun`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def quoted(value: object) -> str:
    """Returns a value for a message: on one line, shortened, between backquotes."""
    return f"`{shortened(value)}`"


def shortened(value: object) -> str:
    """Returns the beginning of a value's text, on one line."""
    text = str(value)
    shown = "".join(map(_visible, text[: _MOST_CHARACTERS + 1]))
    if max(len(text), len(shown)) <= _MOST_CHARACTERS:
        return shown
    return f"{shown[:_MOST_CHARACTERS]}..."


def number(value: float) -> str:
    """Returns a number without needless digits: `3` for 3.0."""
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _MOST_EXACT
    return str(int(value) if is_whole else value)


def one_of(words: list[str]) -> str:
    """Returns `a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _visible(character: str) -> str:
    """Escapes what would break the line or steer the terminal."""
    return character if character.isprintable() else ascii(character)[1:-1]
