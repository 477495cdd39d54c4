"""Pages of lists."""

from aimass.outlier.v1 import outlier_pb2
from common.artifacts.memory import MemoryStore
from common.paging import MAX_PAGE_BYTES
from common.records import RecordStore


def test_pages_fit_into_a_message() -> None:
    """Large resources come in shorter pages; each comes once, and one too large comes alone."""
    records = RecordStore(MemoryStore())
    sizes = [MAX_PAGE_BYTES // 3, MAX_PAGE_BYTES // 2, MAX_PAGE_BYTES, 10, 10]
    for number, size in enumerate(sizes):
        stream = outlier_pb2.OutlierStream(name=f"outlierStreams/s{number}", columns=["x" * size])
        stream.create_time.seconds = 100 - number
        records.create(stream)
    token = ""
    pages: list[list[str]] = []
    while not pages or token:
        page = records.list(
            "outlierStreams", outlier_pb2.OutlierStream, page_size=10, page_token=token
        )
        pages.append([each.name[-1] for each in page.resources])
        token = page.next_page_token
    assert pages == [["0", "1"], ["2"], ["3", "4"]]
