"""Trials in the store. Blocking; safe to use from several threads and processes.

A trial is a record. It is made by a conditional create, so that a number is given once, and changed
by compare-and-swap. Its lease is the age of its record, by the store's clock.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from aimass.tuner.v1 import study_pb2
from common.artifacts import ObjectChangedError, ObjectMissingError, ObjectStore
from common.errors import AlreadyExistsError, ConflictError, NotFoundError
from common.names import StudyName, TrialName
from common.records import Record, RecordStore, RequestId
from common.records.objects import ABANDONED, record_key
from services.tuner.study.changes import Change, given_out

_THREADS = 8

TrialRecord = Record[study_pb2.Trial]


class Trials:
    """The trials of all studies."""

    def __init__(self, store: ObjectStore, records: RecordStore) -> None:
        """Keeps them in a store."""
        self._store = store
        self._records = records

    def all(self, study: StudyName) -> Sequence[TrialRecord]:
        """Returns all trials of a study as they are in the store."""
        return self._records.find(study.trials, study_pb2.Trial)

    def get(self, name: str) -> TrialRecord | None:
        """Returns a trial; None where there is none."""
        try:
            return self._records.get(name, study_pb2.Trial)
        except NotFoundError:
            return None

    def create(self, trial: study_pb2.Trial) -> TrialRecord | None:
        """Stores a new trial. Returns None where there is one of its number."""
        try:
            return self._records.create(trial)
        except AlreadyExistsError:
            return None

    def change(self, name: str, change: Change) -> TrialRecord:
        """Changes a trial. Raises `NotFoundError`, and what the change raises."""
        return self._records.update(name, study_pb2.Trial, change)

    def take_over(
        self, name: str, lease_seconds: float, request_id: str
    ) -> TrialRecord | float | None:
        """Gives a trial out again whose lease has ended, or that waits.

        Returns:
            The trial, or in how many seconds to look again, or None where it is gone.
        """
        key = record_key(name)
        try:
            info = self._store.stat(key)
            record = self._records.get(name, study_pb2.Trial)
        except (ObjectMissingError, NotFoundError):
            return None
        age = (info.now - info.modified).total_seconds()
        is_waiting = record.resource.state == study_pb2.TRIAL_STATE_WAITING
        # Both times are whole seconds.
        if record.etag != info.etag or (age <= lease_seconds and not is_waiting):
            return max(lease_seconds - age, 0.0) + 1.0
        change = given_out(lease_seconds, request_id)
        try:
            return self._records.update(name, study_pb2.Trial, change, etag=info.etag)
        except (ConflictError, NotFoundError):
            return lease_seconds

    def claim(self, study: StudyName, key: str) -> bool:
        """Claims settings for a trial, of which there is one in all processes.

        Args:
            study: The study.
            key: The same for equal settings.

        Returns:
            Whether nobody else has claimed them.
        """
        try:
            self._store.create(_claim_key(study, key), secrets.token_bytes(8))
        except ObjectChangedError:
            return False
        return True

    def claim_left(self, study: StudyName, key: str) -> bool:
        """Claims what somebody else claimed a while ago, without making a trial of it."""
        name = _claim_key(study, key)
        try:
            info = self._store.stat(name)
            if info.now - info.modified < ABANDONED:
                return False
            self._store.replace(name, secrets.token_bytes(8), info.etag)
        except (ObjectMissingError, ObjectChangedError):
            return False
        return True

    def reserve(self, study: StudyName, request: RequestId) -> bool:
        """Notes a call's identity. Returns whether it is new.

        Raises:
            AlreadyExistsError: The id was used for another request.
        """
        key = f"{study.name}/requests/{request.key.rpartition('/')[2]}"
        # Another caller's bytes must not be taken for these where the store answers late.
        body = {"payloadDigest": request.payload_digest, "write": secrets.token_hex(8)}
        try:
            self._store.create(key, json.dumps(body).encode())
        except ObjectChangedError:
            known = json.loads(self._store.read(key)[0])
            if known["payloadDigest"] != request.payload_digest:
                raise AlreadyExistsError(
                    f"request_id {request.request_id} was used for another request; use a new "
                    "UUID.",
                    reason="REQUEST_ID_REUSED",
                ) from None
            return False
        return True

    def begin(self, study: study_pb2.Study) -> Record[study_pb2.Study]:
        """Makes the trials that a study was created with; safe to repeat, and for several at once.

        Raises:
            NotFoundError: The study was deleted meanwhile.
        """
        name = StudyName.from_name(study.name)
        for number, trial in enumerate(study.initial_trials, 1):
            trial.name = TrialName(name.id, number).name
        with ThreadPoolExecutor(_THREADS, "trials") as pool:
            made = [each for each in pool.map(self.create, study.initial_trials) if each]
        try:
            return self._records.update(study.name, study_pb2.Study, _begun)
        except NotFoundError:
            self.discard([each.resource for each in made])
            raise

    def discard(self, trials: Sequence[study_pb2.Trial]) -> None:
        """Removes trials that nobody has seen."""
        for trial in trials:
            self._store.delete(record_key(trial.name))


def _begun(study: study_pb2.Study) -> study_pb2.Study:
    del study.initial_trials[:]
    return study


def _claim_key(study: StudyName, key: str) -> str:
    return f"{study.name}/settings/{hashlib.sha256(key.encode()).hexdigest()}"
