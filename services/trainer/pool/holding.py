"""Which replica of the trainer holds the pool: the one with the lease in the store."""

import logging
import socket
import threading
from typing import Protocol

from common.artifacts.protocol import ObjectStore
from common.errors import FencedError, UnavailableError
from common.runs.lease import Lease, LeaseHeldError, LeaseKeeper, read_lease
from common.telemetry import metrics

_log = logging.getLogger(__name__)
LEASE_KEY = "pool/lease.json"
_RETRY_SECONDS = 0.5


class Holding(Protocol):
    """Says who holds the pool."""

    def holder(self) -> str:
        """Returns the holder's name; empty where it is this process."""
        ...


class LeasedHolding:
    """Takes the lease as soon as it is free, from a thread of its own, and renews it."""

    def __init__(self, store: ObjectStore) -> None:
        """Prepares; `start` begins.

        Args:
            store: Where the lease is.
        """
        self._store = store
        self._holder = "nobody yet"
        self._stopped = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pool-lease", daemon=True)

    def start(self) -> None:
        """Begins to try."""
        self._thread.start()

    def stop(self) -> None:
        """Gives the lease up, so that another replica has it at once."""
        self._stopped.set()
        self._lost.set()
        self._thread.join()

    def holder(self) -> str:
        """Returns the holder's name; empty where it is this process."""
        return self._holder

    def _work(self) -> None:
        while not self._stopped.is_set():
            lease = Lease(self._store, LEASE_KEY, owner=f"trainer on {socket.gethostname()}")
            try:
                lease.acquire()
            except LeaseHeldError as error:
                self._holder = self._name_holder(str(error))
            except UnavailableError as error:
                self._holder = "unknown: the object store is away"
                _log.warning("cannot take the pool: %s", error)
            else:
                self._hold(lease)
            self._stopped.wait(_RETRY_SECONDS)

    def _name_holder(self, otherwise: str) -> str:
        try:
            found = read_lease(self._store, LEASE_KEY)
        except UnavailableError:
            found = None
        if found is None:
            return otherwise
        process = found.record.process
        return f"process {process.pid} on {process.host}"

    def _hold(self, lease: Lease) -> None:
        keeper = LeaseKeeper(lease, self._lost.set)
        keeper.start()
        self._holder = ""
        if lease.took_over:
            metrics.lease_takeovers.add(1, {"kind": "pool"})
        _log.info("this replica holds the pool")
        self._lost.wait()
        self._holder = "nobody yet"
        keeper.stop()
        if not self._stopped.is_set():
            _log.warning("the pool is lost")
            self._lost.clear()
            return
        try:
            lease.release()
        except (UnavailableError, FencedError) as error:
            _log.warning("the pool's lease is left to expire: %s", error)
