"""Pages of lists: sizes and opaque tokens."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from common.errors import InvalidFieldError

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
MAX_PAGE_BYTES = 3_000_000
"""A page of more ends early: a gRPC message may have 4 MiB, unless its receiver says otherwise."""

_DIGEST_BYTES = 12


def check_page_size(size: int) -> int:
    """Returns the page size to use: `size`, or the default where it is 0.

    Raises:
        InvalidFieldError: If it is not 0 to 1000.
    """
    if not 0 <= size <= MAX_PAGE_SIZE:
        raise InvalidFieldError(
            "page_size", f"must be 1 to {MAX_PAGE_SIZE}, or 0 for the default; it is {size}"
        )
    return size or DEFAULT_PAGE_SIZE


def encode_token(query: Sequence[str], position: Sequence[str | int | float | None]) -> str:
    """Makes a page token.

    Args:
        query: What the list was asked for, page size aside. The token works with it only.
        position: Where the next page begins.

    Returns:
        Text that is safe in a URL and means nothing to the caller.
    """
    body = json.dumps(list(position), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(query, body) + body).decode().rstrip("=")


def decode_token(query: Sequence[str], token: str) -> list[str | int]:
    """Returns the position in a page token.

    Raises:
        InvalidFieldError: If the token is not one that `encode_token` made for this query.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _wrong_token() from None
    digest, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    if digest != _digest(query, body):
        raise _wrong_token()
    position: list[str | int] = json.loads(body)
    return position


def _digest(query: Sequence[str], body: bytes) -> bytes:
    text = json.dumps(list(query)).encode()
    return hashlib.sha256(len(text).to_bytes(8, "big") + text + body).digest()[:_DIGEST_BYTES]


def _wrong_token() -> InvalidFieldError:
    return InvalidFieldError(
        "page_token",
        "must be the `next_page_token` of a previous page of the same list with the same filter; "
        "leave it empty for the first page",
        reason="INVALID_PAGE_TOKEN",
    )
