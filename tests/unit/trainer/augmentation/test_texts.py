"""Changes of raw texts."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.domain.augmentation.draws import Draws
from services.trainer.domain.augmentation.policies import (
    CharacterNoise,
    SynonymList,
    Synonyms,
    WordDeletion,
    WordSwap,
)
from services.trainer.domain.augmentation.texts import mistyped, reworded, shortened, swapped

WORDS = st.text(string.ascii_letters + "äß漢.,'", min_size=1, max_size=8)
TEXTS = st.lists(st.none() | st.lists(WORDS, max_size=9).map(" ".join), min_size=1, max_size=12)
SYNONYMS = Synonyms(
    rate=0.5, words={"good": SynonymList(words=("fine", "great")), "a": SynonymList(words=("the",))}
)
CHANGES = {
    "characters": lambda texts, draws: mistyped(texts, CharacterNoise(rate=0.3), draws),
    "swap": lambda texts, draws: swapped(texts, WordSwap(rate=0.5), draws),
    "deletion": lambda texts, draws: shortened(texts, WordDeletion(rate=0.5), draws),
    "synonyms": lambda texts, draws: reworded(texts, SYNONYMS, draws),
}


def draws(rows: int, seed: int = 0) -> Draws:
    return Draws.of_rows(seed, 0, np.arange(rows))


@pytest.mark.parametrize("kind", CHANGES)
@given(texts=TEXTS, data=st.data())
def test_a_text_becomes_the_same_whoever_is_beside_it(
    kind: str, texts: list[str | None], data: st.DataObject
) -> None:
    """Protects equal weights over changing worlds: longer neighbours change nothing."""
    chosen = data.draw(st.permutations(range(len(texts))))[: len(texts) // 2 + 1]
    every = CHANGES[kind](texts, draws(len(texts)))
    some = CHANGES[kind]([texts[row] for row in chosen], Draws.of_rows(0, 0, np.array(chosen)))
    assert some == [every[row] for row in chosen]
    missing = [found for text, found in zip(texts, every, strict=True) if not text]
    assert not any(missing), "missing stays missing, and empty stays empty"


@given(texts=TEXTS)
def test_swapped_words_are_the_same_words(texts: list[str | None]) -> None:
    """Protects words and the space between them."""
    for text, found in zip(texts, CHANGES["swap"](texts, draws(len(texts))), strict=True):
        assert sorted((text or "").split()) == sorted((found or "").split())
        assert len(text or "") == len(found or "")


@given(texts=TEXTS)
def test_a_shortened_text_has_some_of_its_words_in_their_order(texts: list[str | None]) -> None:
    """Protects sense, and texts from becoming empty."""
    for text, found in zip(texts, CHANGES["deletion"](texts, draws(len(texts))), strict=True):
        words, kept = iter((text or "").split()), (found or "").split()
        assert all(word in words for word in kept)
        assert bool(kept) == bool((text or "").split())


def test_rates_are_those_asked_for() -> None:
    """Protects strengths: one word or character in so many."""
    texts: list[str | None] = [" ".join(f"word{index}" for index in range(100))] * 200
    kept = shortened(texts, WordDeletion(rate=0.2), draws(200))
    assert np.mean([len((text or "").split()) for text in kept]) == pytest.approx(80, abs=1)
    plain: list[str | None] = [string.ascii_lowercase * 10] * 200
    noisy = mistyped(plain, CharacterNoise(rate=0.1), draws(200))
    assert len(set(noisy)) == 200
    lengths = np.array([len(text or "") for text in noisy])
    assert lengths.mean() == pytest.approx(260, abs=1) and lengths.std() > 1


def test_synonyms_keep_case_and_what_stands_around() -> None:
    """Protects sentences: a capital and a comma stay."""
    always = SYNONYMS.model_copy(update={"rate": 1.0})
    texts: list[str | None] = ["A good, GOOD day\n(good)", None] * 20
    found = reworded(texts, always, draws(40))
    assert found[1] is None
    seen = {word for text in found for word in (text or "").split()}
    assert seen == {"The", "fine,", "great,", "Fine", "Great", "day", "(fine)", "(great)"}
    assert "\n" in (found[0] or "")
