"""Disturbances of texts."""

from collections.abc import Callable, Sequence

import numpy as np

from common.data.rows import Values
from services.analyzer.domain.robustness.disturbance import Disturbance
from services.analyzer.domain.robustness.findings import DisturbanceKind
from services.analyzer.domain.robustness.tables import changed

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def text_disturbances(names: Sequence[str]) -> list[Disturbance]:
    """Returns disturbances of all texts at once."""
    if not names:
        return []
    words, letters = (0.05, 0.1, 0.2, 0.4, 0.8), (0.01, 0.02, 0.05, 0.1, 0.2)
    return [
        Disturbance(
            DisturbanceKind.DROPPED_WORDS, "share of words", words, changed(_each(_fewer), names)
        ),
        Disturbance(
            DisturbanceKind.TYPOS, "share of letters", letters, changed(_each(_mistyped), names)
        ),
    ]


Edit = Callable[[str, float, np.random.Generator], str]


def _each(edit: Edit) -> Callable[[str, Values, float, np.random.Generator], Values]:
    """Returns what edits each text that is there."""

    def change(
        name: str, values: Values, severity: float, generator: np.random.Generator
    ) -> Values:
        edited = np.empty(len(values), object)
        for place, text in enumerate(values.tolist()):
            edited[place] = None if text is None else edit(str(text), severity, generator)
        return edited

    return change


def _fewer(text: str, severity: float, generator: np.random.Generator) -> str:
    words = text.split()
    kept = generator.random(len(words)) >= severity
    return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)


def _mistyped(text: str, severity: float, generator: np.random.Generator) -> str:
    """Returns a text in which letters are replaced, left out, or change places with the next."""
    chances, kinds = generator.random(len(text)), generator.integers(0, 3, len(text))
    others = generator.integers(0, len(_LETTERS), len(text))
    letters = list(text)
    for place in np.flatnonzero(chances < severity):
        following = place + 1
        if kinds[place] == 0:
            letters[place] = _LETTERS[others[place]]
        elif kinds[place] == 1:
            letters[place] = ""
        elif following < len(letters):
            letters[place], letters[following] = letters[following], letters[place]
    return "".join(letters)
