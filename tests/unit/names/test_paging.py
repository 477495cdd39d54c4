"""Page sizes and page tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidFieldError
from common.paging import check_page_size, decode_token, encode_token

queries = st.lists(st.text(), max_size=3)
positions = st.lists(st.integers() | st.text(st.characters(codec="utf-8")), max_size=3)


@given(query=queries, position=positions)
def test_a_token_brings_its_position_back(query: list[str], position: list[str | int]) -> None:
    """Protects paging: the next page begins where the last one ended."""
    token = encode_token(query, position)
    assert decode_token(query, token) == position
    assert token.isascii() and "=" not in token and "/" not in token


@given(query=queries, other=queries, position=positions)
def test_a_token_fits_its_query_only(
    query: list[str], other: list[str], position: list[str | int]
) -> None:
    """Protects against a page of one list that goes on in another."""
    if query == other:
        return
    with pytest.raises(InvalidFieldError):
        decode_token(other, encode_token(query, position))


@given(token=st.text() | st.text("abcXYZ019-_=", max_size=40))
def test_nonsense_is_an_invalid_page_token(token: str) -> None:
    """Protects services from INTERNAL errors on tokens that nobody made."""
    with pytest.raises(InvalidFieldError) as raised:
        decode_token(["q"], token)
    assert raised.value.violations[0].field == "page_token"


@given(position=positions, cut=st.integers(1, 10))
def test_a_cut_token_is_refused(position: list[str | int], cut: int) -> None:
    """Protects against a token that lost its end on the way."""
    with pytest.raises(InvalidFieldError):
        decode_token(["q"], encode_token(["q"], position)[:-cut])


def test_page_sizes() -> None:
    """Protects the limits that the contract states."""
    assert [check_page_size(size) for size in (0, 1, 1000)] == [50, 1, 1000]
    for size in (-1, 1001):
        with pytest.raises(InvalidFieldError, match="page_size"):
            check_page_size(size)
