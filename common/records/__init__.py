from common.records.envelope import Record, RecordState
from common.records.listing import Page
from common.records.requests import RequestId
from common.records.store import RecordStore

__all__ = ["Page", "Record", "RecordState", "RecordStore", "RequestId"]
