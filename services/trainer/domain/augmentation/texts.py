"""Changes of raw texts, before they become tokens; missing texts stay missing.

Sources: Wei and Zou, EDA: easy data augmentation techniques for boosting performance on text
classification tasks (EMNLP 2019), for words; Belinkov and Bisk, Synthetic and natural noise both
break neural machine translation (ICLR 2018), for characters.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from services.trainer.domain.augmentation.draws import Draws, Floats
from services.trainer.domain.augmentation.policies import (
    CharacterNoise,
    Synonyms,
    WordDeletion,
    WordSwap,
)

Texts = Sequence[str | None]
_PIECES = re.compile(r"\S+|\s+")
_EDGES = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)
_TYPING_ERRORS = 4


def mistyped(texts: Texts, settings: CharacterNoise, draws: Draws) -> list[str | None]:
    """Returns texts in which characters are left out, doubled, exchanged or replaced by others."""
    lengths = [len(text or "") for text in texts]
    # From branches: how many numbers a call takes depends on the longest text that is there.
    chances = draws.branch(0).uniforms(max(lengths, default=0))
    kinds = draws.branch(1).uniforms(max(lengths, default=0))
    return _each(texts, partial(_mistyped, settings.rate), chances, kinds)


def swapped(texts: Texts, settings: WordSwap, draws: Draws) -> list[str | None]:
    """Returns texts in which words change places with the next one."""
    return _each(texts, partial(_swapped, settings.rate), draws.uniforms(_most_words(texts)))


def shortened(texts: Texts, settings: WordDeletion, draws: Draws) -> list[str | None]:
    """Returns texts without some of their words; one always stays."""
    return _each(texts, partial(_shortened, settings.rate), draws.uniforms(_most_words(texts)))


def reworded(texts: Texts, settings: Synonyms, draws: Draws) -> list[str | None]:
    """Returns texts some of whose words are replaced by listed ones.

    Words are looked up without regard to case and without what stands around them, such as a comma;
    a word that begins with a capital is replaced by one that does.
    """
    known = {word.lower(): entry.words for word, entry in settings.words.items()}
    words = _most_words(texts)
    chances, choices = draws.branch(0).uniforms(words), draws.branch(1).uniforms(words)
    return _each(texts, partial(_reworded, settings.rate, known), chances, choices)


def _each(texts: Texts, change: Callable[..., str], *numbers: Floats) -> list[str | None]:
    """Returns texts, each changed with its row of the numbers."""
    rows = zip(*(each.tolist() for each in numbers), strict=True)
    pairs = zip(texts, rows, strict=True)
    return [change(text, *row) if text else text for text, row in pairs]


def _most_words(texts: Texts) -> int:
    return max((len((text or "").split()) for text in texts), default=0)


def _mistyped(rate: float, text: str, chances: list[float], kinds: list[float]) -> str:
    characters = list(text)
    for place, chance in enumerate(chances[: len(text)]):
        if chance >= rate:
            continue
        kind = kinds[place] * _TYPING_ERRORS
        other = min(place + 1, len(text) - 1)
        if kind < 1:
            characters[place] = ""
        elif kind < 2:
            characters[place] *= 2
        elif kind < 3:
            characters[place], characters[other] = characters[other], characters[place]
        else:
            characters[place] = text[int((kind - 3) * len(text))]
    return "".join(characters)


def _swapped(rate: float, text: str, chances: list[float]) -> str:
    pieces = _PIECES.findall(text)
    words = [place for place, piece in enumerate(pieces) if not piece.isspace()]
    for place, after, chance in zip(words, words[1:], chances, strict=False):
        if chance < rate:
            pieces[place], pieces[after] = pieces[after], pieces[place]
    return "".join(pieces)


def _shortened(rate: float, text: str, chances: list[float]) -> str:
    words = text.split()
    kept = [word for word, chance in zip(words, chances, strict=False) if chance >= rate]
    if len(kept) == len(words):
        return text
    # The one that was the nearest to staying.
    longest = max(range(len(words)), key=chances.__getitem__)
    return " ".join(kept or [words[longest]])


def _reworded(
    rate: float,
    known: Mapping[str, Sequence[str]],
    text: str,
    chances: list[float],
    choices: list[float],
) -> str:
    pieces = _PIECES.findall(text)
    words = [place for place, piece in enumerate(pieces) if not piece.isspace()]
    for place, chance, choice in zip(words, chances, choices, strict=False):
        if chance < rate:
            pieces[place] = _other_word(pieces[place], known, choice)
    return "".join(pieces)


def _other_word(word: str, known: Mapping[str, Sequence[str]], choice: float) -> str:
    match = _EDGES.match(word)
    assert match is not None
    before, core, after = match.groups()
    others = known.get(core.lower())
    if not others:
        return word
    other = others[int(choice * len(others))]
    return before + (other[:1].upper() + other[1:] if core[0].isupper() else other) + after
