"""What is known of other data, page by page: what own searches have found, then what ships."""

from aimass.tuner.v1 import tuner_pb2
from common.paging import MAX_PAGE_BYTES, check_page_size, decode_token, encode_token
from services.tuner.convert import known_set_to_proto
from services.tuner.domain.portfolio.shipped import shipped_sets
from services.tuner.portfolio import OwnPortfolio

_QUERY = ("portfolio",)


class PortfolioPages:
    """Reads pages of what is known. Safe to use from several threads."""

    def __init__(self, own: OwnPortfolio) -> None:
        """Reads what own searches have found, and what ships with the suite."""
        self._own = own

    def page(self, request: tuner_pb2.ListPortfolioRequest) -> tuner_pb2.ListPortfolioResponse:
        """Returns a page; an own record that cannot be read is left out of it.

        Raises:
            InvalidFieldError: Names `page_size` or `page_token`.
        """
        size = check_page_size(request.page_size)
        token = request.page_token
        start = int(decode_token(_QUERY, token)[0]) if token else 0
        infos, shipped = self._own.listed(), shipped_sets()
        own = self._own.read(infos[start : start + size])
        later = shipped[max(start - len(infos), 0) : max(start + size - len(infos), 0)]
        found, room = tuner_pb2.ListPortfolioResponse(), MAX_PAGE_BYTES
        for end, known in enumerate([*own, *later], start):
            entry = tuner_pb2.PortfolioEntry() if known is None else known_set_to_proto(known)
            room -= entry.ByteSize()
            if room < 0 and end > start:
                found.next_page_token = encode_token(_QUERY, [end])
                return found
            if known is not None:
                found.entries.append(entry)
        end = start + len(own) + len(later)
        if end < len(infos) + len(shipped):
            found.next_page_token = encode_token(_QUERY, [end])
        return found
