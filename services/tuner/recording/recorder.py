"""Keeps trials that ended in the store while the search goes on, for whoever goes on with it."""

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.protocol import ObjectChangedError
from common.errors import FencedError, UnavailableError
from common.runs.owner import RunOwner
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.racing import is_promising
from services.tuner.domain.trials.trial import TrialResult
from services.tuner.recording.codec import RecordedTrial, encoded
from services.tuner.recording.plan import Plan, plan_bytes, plan_key, plan_of, trials_prefix

_log = logging.getLogger(__name__)

MOST_BYTES = 1 << 30
"""What the trials of a search may take in the store."""

_LARGE_BYTES = 4 << 20  # an estimator as large as this is an object of its own
_BATCH_BYTES = 16 << 20
_PAUSE_SECONDS = 0.25
_AGAIN_SECONDS = 5.0
_BINARY = "application/octet-stream"
_FULL = (
    f"The trials take {MOST_BYTES >> 30} GiB in the store already: later ones are not kept, and "
    "would be fitted again by another attempt."
)


@dataclass(frozen=True)
class _Waiting:
    """A trial that is to be kept.

    Attributes:
        trial: Without the estimator.
        path: Of its estimator; empty where that is not kept.
        size: Bytes of outputs and estimator.
    """

    trial: RecordedTrial
    path: str
    size: int


class Recorder:
    """Writes trials in a thread of its own: a store that is away delays nobody.

    Outputs of all trials are kept, so that blends, leaderboard and surrogate know them again. An
    estimator is kept where its candidate promised something when the trial ended: most candidates
    end with their first fold, and are no part of any blend. They stay ended then, which costs less
    than to keep or to fit again what hardly ever comes back. Forecasters learn everything once more
    in the end: no estimator of their trials is kept.
    """

    def __init__(
        self,
        owner: RunOwner[tuner_pb2.TuningRun],
        plan: Plan | None = None,
        held_bytes: int = 0,
        keeps_models: bool = True,
    ) -> None:
        """Starts the thread.

        Args:
            owner: The run.
            plan: What its trials have in common with those that are known; None for none.
            held_bytes: What earlier attempts keep already.
            keeps_models: Whether estimators are of use later.
        """
        self._owner = owner
        self._plan = plan
        self._prefix = trials_prefix(owner.name)
        self._begun = owner.run.status.start_time.ToNanoseconds() / 1e9
        self._held = held_bytes
        self._keeps_models = keeps_models
        self._waiting: deque[_Waiting] = deque()
        self._news = threading.Event()
        self._closed = threading.Event()
        self._written = 0
        self._thread = threading.Thread(target=self._work, name="trials-record", daemon=True)
        self._thread.start()

    def watch(self, library: Library, result: TrialResult) -> None:
        """Hears of a trial; see `Watch`. Returns at once."""
        self._plan = self._plan or plan_of(library)
        # The folds may be others since the suite has changed.
        if self._plan.digest != library.digest or self._closed.is_set():
            return
        entry = library.entries[result.task.candidate.number]
        is_kept = self._keeps_models and is_promising(library, entry)
        path = result.model_path if is_kept else ""
        size = 0 if result.outputs is None else 4 * result.outputs.size
        size += result.model_bytes if path else 0
        if not self._has_room(size):
            return
        trial = RecordedTrial(
            replace(result, model_path=""), entry.origin, max(time.time() - self._begun, 0.0)
        )
        self._waiting.append(_Waiting(trial, path, size))
        self._news.set()

    def close(self) -> None:
        """Waits until all trials are kept, or cannot be."""
        self._closed.set()
        self._news.set()
        self._thread.join()

    def stop(self) -> None:
        """Keeps nothing more."""
        self._waiting.clear()
        self._closed.set()
        self._news.set()

    def _has_room(self, size: int) -> bool:
        if self._held > MOST_BYTES:
            return False
        self._held += size
        if self._held > MOST_BYTES:
            self._owner.log(_FULL, event_pb2.SEVERITY_WARNING, "search")
            return False
        return True

    def _work(self) -> None:
        while not (self._closed.is_set() and not self._waiting):
            self._news.wait()
            self._news.clear()
            try:
                self._write_all()
            except UnavailableError as error:
                _log.warning("trials wait for the store: %s", error)
                self._closed.wait(_AGAIN_SECONDS)
                if self._closed.is_set():
                    return
                self._news.set()
            except FencedError:
                return
            except Exception:  # the search needs none of this
                _log.exception("trials are not kept any more")
                self.stop()
                return
            # Several trials that end soon after each other cost one write.
            self._closed.wait(_PAUSE_SECONDS)

    def _write_all(self) -> None:
        while self._waiting:
            self._owner.check()
            if self._plan and not self._written:
                with suppress(ObjectChangedError):  # an earlier attempt has written the same
                    self._owner.store.create(plan_key(self._owner.name), plan_bytes(self._plan))
            batch = self._batch()
            trials = [self._complete(place, each) for place, each in enumerate(batch)]
            self._owner.store.write(f"{self._key}.safetensors", encoded(trials))
            self._written += 1
            for _ in range(min(len(batch), len(self._waiting))):
                self._waiting.popleft()

    @property
    def _key(self) -> str:
        return f"{self._prefix}{self._owner.attempt:06}-{self._written:08}"

    def _batch(self) -> list[_Waiting]:
        """Returns what comes next, as far as it is not too much at once."""
        found: list[_Waiting] = []
        room = _BATCH_BYTES
        for each in list(self._waiting):
            room -= each.size
            if found and room < 0:
                break
            found.append(each)
        return found

    def _complete(self, place: int, waiting: _Waiting) -> RecordedTrial:
        """Returns a trial with its estimator."""
        if not waiting.path:
            return waiting.trial
        path = Path(waiting.path)
        if waiting.trial.result.model_bytes < _LARGE_BYTES:
            return replace(waiting.trial, model=path.read_bytes())
        key = f"{self._key}-{place}.model"
        artifact = put_artifact(self._owner.store, key, path, _BINARY)
        return replace(waiting.trial, artifact=artifact)
