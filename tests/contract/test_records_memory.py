"""The records contract on the in-memory fake, bare and behind a store that keeps failing."""

import pytest

from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.artifacts.retry import RetryingStore
from common.testing.crash import CrashingStore, Moment, every
from common.testing.records_contract import RecordsContract


class TestRecordsInMemory(RecordsContract):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()


class TestRecordsBehindRetries(RecordsContract):
    """Every fifth operation fails, by turns with and without having happened."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        plan = every(5, Moment.AMBIGUOUS, Moment.LOST)
        return RetryingStore(CrashingStore(MemoryStore(), plan), patience=60)
