"""Pages of marked rows."""

from aimass.outlier.v1 import outlier_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.paging import MAX_PAGE_BYTES
from services.outlier.anomalies import AnomalyPages


def test_pages_of_long_explanations_fit_into_a_message() -> None:
    """A page of the largest size has fewer rows where they are long; each row is listed once."""
    store = MemoryStore()
    listed = outlier_pb2.ListAnomaliesResponse()
    for row in range(1000):
        anomaly = listed.anomalies.add(row=row, rank=row + 1)
        anomaly.explanation.broken.append("x" * 10_000)
    ref = put_artifact(store, "anomalies", listed.SerializeToString(), "application/x-protobuf")
    scan = outlier_pb2.OutlierScan(name="outlierScans/s", anomalies=ref)
    pages = AnomalyPages(store)
    request = outlier_pb2.ListAnomaliesRequest(parent=scan.name, page_size=1000)
    rows: list[int] = []
    while True:
        page = pages.page(scan, request)
        assert page.anomalies and page.ByteSize() < 1.1 * MAX_PAGE_BYTES
        rows += [each.row for each in page.anomalies]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert rows == list(range(1000))
