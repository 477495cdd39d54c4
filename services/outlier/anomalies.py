"""The marked rows of scans, kept so that the service can list them without reading Parquet."""

from collections import OrderedDict
from collections.abc import Sequence

from aimass.outlier.v1 import outlier_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import read_artifact
from common.paging import MAX_PAGE_BYTES, check_page_size, decode_token, encode_token

MOST_LISTED = 10_000
"""Marked rows of a scan that are listed."""

_KEPT = 4


class AnomalyPages:
    """Reads pages of marked rows. Safe to use from several threads."""

    def __init__(self, store: ObjectStore) -> None:
        """Reads from the suite's store; the last few scans stay in memory."""
        self._store = store
        self._kept: OrderedDict[str, outlier_pb2.ListAnomaliesResponse] = OrderedDict()

    def page(
        self, scan: outlier_pb2.OutlierScan, request: outlier_pb2.ListAnomaliesRequest
    ) -> outlier_pb2.ListAnomaliesResponse:
        """Returns a page.

        Args:
            scan: The scan, which has succeeded.
            request: Page size and token.

        Raises:
            InvalidFieldError: Names `page_size` or `page_token`.
            DataLossError: The list is gone or damaged.
        """
        size = check_page_size(request.page_size)
        query = (scan.name, scan.anomalies.sha256)
        start = int(decode_token(query, request.page_token)[0]) if request.page_token else 0
        found = self._all(scan).anomalies
        end = _end_of_page(found, start, size)
        token = encode_token(query, [end]) if end < len(found) else ""
        return outlier_pb2.ListAnomaliesResponse(anomalies=found[start:end], next_page_token=token)

    def _all(self, scan: outlier_pb2.OutlierScan) -> outlier_pb2.ListAnomaliesResponse:
        digest = scan.anomalies.sha256
        found = self._kept.get(digest)
        if found is None:
            content = b"".join(read_artifact(self._store, scan.anomalies))
            found = outlier_pb2.ListAnomaliesResponse.FromString(content)
            self._kept[digest] = found
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def _end_of_page(anomalies: Sequence[outlier_pb2.Anomaly], start: int, size: int) -> int:
    """Returns where a page ends; explanations are long, and a message must not be too large."""
    room = MAX_PAGE_BYTES
    for place, anomaly in enumerate(anomalies[start : start + size], start):
        room -= anomaly.ByteSize()
        if room < 0 and place > start:
            return place
    return start + size
