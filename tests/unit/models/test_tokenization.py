"""Texts as tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.models.preprocessing import TextColumns
from common.models.tokenization import TextTokenizer, Thinned, trained_tokenizer

TEXTS = ["what is the tallest tree", "who was the first king", "what is the name of the king"] * 4
SIZE, LENGTH = 330, 12


def columns(names: tuple[str, ...] = ("a",), texts: list[str] = TEXTS) -> TextColumns:
    return TextColumns(
        names=names,
        max_length=LENGTH,
        vocabulary_size=SIZE,
        tokenizer=trained_tokenizer(texts, SIZE, LENGTH),
    )


TOKENIZER = TextTokenizer(columns())


def objects(*texts: str | None) -> np.ndarray:
    return np.array(texts, dtype=object)


@given(st.lists(st.none() | st.text(max_size=40), min_size=1, max_size=5))
def test_every_text_has_tokens_that_the_network_has_room_for(texts: list[str | None]) -> None:
    """Protects predictions: letters never seen, nothing at all, and far too long texts."""
    found = TOKENIZER.tokens([objects(*texts)])
    assert found.shape == (len(texts), LENGTH) and found.dtype == np.int64
    assert (found[:, 0] != 0).all()
    assert found.min() >= 0 and found.max() < SIZE
    used = found != 0
    assert (used[:, 1:] <= used[:, :-1]).all()  # padding is behind the end only


def test_a_text_of_several_columns_is_all_of_them() -> None:
    """Protects tables with a title and a body; missing is as empty."""
    both = TextTokenizer(columns(("a", "b")))
    found = both.tokens([objects("who", "king"), objects("was", None)])
    expected = TOKENIZER.tokens([objects("who\nwas", "king\n")])
    np.testing.assert_array_equal(found, expected)


def test_the_same_texts_give_the_same_tokenizer() -> None:
    """Protects runs that are to be equal: not even the order of rows counts."""
    assert columns() == columns(texts=TEXTS[::-1])


def test_frequent_words_become_tokens() -> None:
    """Protects short inputs: what is learned is not letters."""
    known = TOKENIZER.tokens([objects("what is the king")])[0]
    assert np.count_nonzero(known) == 1 + 4


@pytest.mark.parametrize("letters", [10, 100, 1_000])
def test_thinned_texts_come_evenly_from_all(letters: int) -> None:
    """Protects memory, and data that are sorted."""
    thinned = Thinned(letters)
    texts = [f"{number:05}" for number in range(1_000)]
    for start in range(0, 1_000, 37):
        thinned.add(texts[start : start + 37])
    kept = [int(each) for each in thinned.kept]
    assert sum(map(len, thinned.kept)) <= letters
    assert kept[0] == 0 and len(kept) >= letters / 5 / 2 - 1
    assert len(set(np.diff(kept))) <= 1
