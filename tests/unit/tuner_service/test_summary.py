"""What a summary says in words."""

import pytest

from services.tuner.summary import chosen_words


@pytest.mark.parametrize(
    ("parts", "tried", "words"),
    [
        (1, 1, "the only model that has a score"),
        (1, 12, "one model of 12 that were tried"),
        (3, 12, "a blend of 3 models of 12 that were tried"),
    ],
)
def test_chosen_models_are_counted(parts: int, tried: int, words: str) -> None:
    """No budget is too small for a sentence that reads well."""
    assert chosen_words(parts, tried) == words
