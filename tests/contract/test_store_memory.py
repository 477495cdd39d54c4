"""The store contract on the in-memory fake, bare and behind retries."""

import pytest

from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.artifacts.retry import RetryingStore
from common.testing.crash import CrashingStore, Moment, every
from common.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()


class TestRetryingStore(StoreContract):
    """Every third operation fails, by turns with and without having happened."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        plan = every(3, Moment.AMBIGUOUS, Moment.LOST)
        return RetryingStore(CrashingStore(MemoryStore(), plan), patience=60)
