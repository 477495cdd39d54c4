from common.records.envelope import Record, RecordState
from common.records.requests import RequestId
from common.records.store import Page, RecordStore

__all__ = ["Page", "Record", "RecordState", "RecordStore", "RequestId"]
