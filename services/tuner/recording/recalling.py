"""What is known of a search from the store: trials of attempts before, and of other searches."""

import logging
from dataclasses import replace
from pathlib import Path

from aimass.type.v1 import artifact_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import fetch_artifact
from services.tuner.domain.search.earlier import Earlier
from services.tuner.domain.search.library import Entry
from services.tuner.domain.trials.pickles import check_estimator
from services.tuner.domain.trials.trial import TrialResult
from services.tuner.recording.codec import RecordedTrial, decoded
from services.tuner.recording.plan import Plan, read_plan, trials_prefix

_log = logging.getLogger(__name__)

_TRIALS = ".safetensors"


class Recalled:
    """The trials that earlier attempts at a search have kept, and those that it goes on from.

    Attributes:
        plan: What they have in common; None where there are none.
        trials: In the order in which they ended, without estimators.
        held_bytes: What those of this search alone take in the store.
    """

    def __init__(self, store: ObjectStore, name: str, folder: Path, continues: str = "") -> None:
        """Reads them.

        Args:
            store: The store.
            name: Of the search.
            folder: Exists; estimators come there.
            continues: The search that it goes on from, with the same folds; empty for none.
        """
        self._store = store
        self._folder = folder
        self._entries: dict[int, Entry] = {}
        self._large: dict[str, artifact_pb2.ArtifactRef] = {}
        self._unchecked: set[str] = set()
        self.trials: list[RecordedTrial] = []
        self.held_bytes = 0
        self.plan = read_plan(store, name) or _continued_plan(store, continues)
        for each in (*self.plan.continues, name) if self.plan is not None else ():
            self._read(each, is_continued=each != name)

    @property
    def candidate_count(self) -> int:
        """How many candidates are known."""
        return len(self._entries)

    def earlier(self) -> Earlier:
        """Returns what a search begins with."""
        if self.plan is None:
            return Earlier()
        entries = tuple(self._entries.values())
        return Earlier(self.plan.parts, self.plan.digest, entries, fetch=self._fetch)

    def _read(self, name: str, *, is_continued: bool) -> None:
        for info in list(self._store.list(trials_prefix(name))):
            self.held_bytes += 0 if is_continued else info.size
            if not info.key.endswith(_TRIALS):
                continue
            try:
                trials = decoded(self._store.read(info.key)[0])
            except ValueError as error:
                _log.warning("%s is left out: %s", info.key, error)
                continue
            for each in trials:
                self._add(each, is_continued)

    def _add(self, trial: RecordedTrial, is_continued: bool) -> None:
        """Adds what a fold gave, where it is the next one of its candidate."""
        candidate, fold = trial.result.task.candidate, trial.result.task.fold
        entry = self._entries.setdefault(
            candidate.number, Entry(candidate, trial.origin, is_continued=is_continued)
        )
        # An attempt that was frozen may have used a number that its successor gave away, too.
        if entry.candidate != candidate or fold != entry.folds:
            return
        if trial.result.failure is not None:
            entry.failure = trial.result
        else:
            entry.results.append(replace(trial.result, model_path=self._kept(trial)))
        self.trials.append(replace(trial, model=b""))

    def _kept(self, trial: RecordedTrial) -> str:
        """Returns where the estimator of a trial is, or will be; empty where it was not kept."""
        task = trial.result.task
        path = self._folder / f"kept-{task.candidate.number}-{task.fold}.model"
        if trial.artifact is not None:
            self._large[str(path)] = trial.artifact
        elif trial.model:
            path.write_bytes(trial.model)
        else:
            return ""
        self._unchecked.add(str(path))
        return str(path)

    def _fetch(self, result: TrialResult) -> None:
        """Brings an estimator to its file, if it is one of these, and looks at it."""
        name = result.model_path
        if name not in self._unchecked:
            return
        if name in self._large:
            fetch_artifact(self._store, self._large[name], Path(name))
        check_estimator(Path(name).read_bytes())
        self._unchecked.remove(name)


def _continued_plan(store: ObjectStore, name: str) -> Plan | None:
    plan = read_plan(store, name) if name else None
    return None if plan is None else replace(plan, continues=(*plan.continues, name))
