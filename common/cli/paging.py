"""Lists of the suite, page after page."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from google.protobuf.message import Message

MOST_ON_A_PAGE = 1000


def listed(
    call: Callable[[Any], Any], request: Message, field: str, most: int | None = None
) -> list[Any]:
    """Returns what a list method has, from its beginning.

    Args:
        call: The method of a stub.
        request: Its request, with page size and token; both are set here.
        field: Field of the answer with the resources.
        most: How many are returned at most; None for all.
    """
    return list(islice(pages(call, request, field, most), most))


def pages(
    call: Callable[[Any], Any], request: Any, field: str, most: int | None = None
) -> Iterator[Any]:
    """Yields what a list method has, and asks for a page when it is needed; see `listed`."""
    request.page_size = min(most or MOST_ON_A_PAGE, MOST_ON_A_PAGE)
    while True:
        page = call(request)
        yield from getattr(page, field)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
