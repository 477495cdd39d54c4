"""How trials are kept: in the background, within bounds, also while the store is away."""

import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from common.artifacts.memory import MemoryStore
from common.errors import UnavailableError
from services.tuner.domain.search.library import FLOOR, SURROGATE, Library
from services.tuner.domain.trials.pickles import check_estimator
from services.tuner.domain.trials.trial import (
    Candidate,
    Lesson,
    Split,
    TrialFailure,
    TrialResult,
    TrialTask,
)
from services.tuner.recording import recorder
from services.tuner.recording.codec import RecordedTrial, decoded, encoded
from services.tuner.recording.recalling import Recalled
from services.tuner.recording.recorder import Recorder

NAME = "tuningRuns/t"
PATIENCE = 30.0
BASE = Candidate(0, "linear", {"C": 1.0, "interactions": False, "prepare.scaling": "robust"})


class AwayStore(MemoryStore):
    """Cannot be written to for some calls."""

    def __init__(self) -> None:
        super().__init__()
        self.away = 0
        self.tried = threading.Event()

    def write(self, key: str, data: bytes) -> str:
        """Fails while it is away."""
        if self.away > 0:
            self.away -= 1
            self.tried.set()
            raise UnavailableError("The store is away.")
        return super().write(key, data)


@pytest.fixture
def store() -> AwayStore:
    """A store in memory."""
    return AwayStore()


@pytest.fixture
def owner(store: AwayStore) -> Any:
    """What the recorder needs of an attempt."""
    start = SimpleNamespace(ToNanoseconds=lambda: 0)
    run = SimpleNamespace(status=SimpleNamespace(start_time=start))
    logged: list[str] = []
    return SimpleNamespace(
        name=NAME,
        attempt=1,
        run=run,
        store=store,
        check=lambda: None,
        log=lambda text, *more: logged.append(text),
        logged=logged,
    )


@pytest.fixture
def library() -> Library:
    """Two folds, no candidates."""
    rows = np.arange(20)
    return Library([Split(rows[::2], rows[1::2]), Split(rows[1::2], rows[::2])])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(recorder, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(recorder, "_PAUSE_SECONDS", 0.01)
    yield


def estimator(folder: Path, number: int) -> tuple[str, int]:
    """Keeps an estimator as a trial does; returns where, and its size."""
    path = folder / f"trial-{number}.model"
    path.write_bytes(pickle.dumps(DecisionTreeClassifier().fit([[0], [1]], [0, 1]), 5))
    return str(path), path.stat().st_size


def end(library: Library, folder: Path, number: int, fold: int, loss: float) -> TrialResult:
    """Adds a trial that has ended."""
    candidate = Candidate(number, "linear", {"C": float(number)})
    if number not in library.entries:
        library.register(candidate, FLOOR if number == 0 else SURROGATE)
    path, size = estimator(folder, 10 * number + fold)
    outputs = np.full((10, 2), loss)
    task = TrialTask(candidate, fold, 1.0, 1.0)
    result = TrialResult(task, loss, outputs, {}, 0.1, 0.01, 5, size, path)
    library.add(result)
    return result


def known(store: MemoryStore, folder: Path) -> Recalled:
    """Returns what another attempt would know."""
    later = folder / "later"
    later.mkdir(exist_ok=True)
    return Recalled(store, NAME, later)


def test_trials_come_back_as_they_were() -> None:
    """With bases, uses of marks, settings, failures, and where a large estimator is."""
    learned = Candidate(3, "linear", {"depth": 4}, (BASE,), Lesson.HARD_ROWS, "drop", 2)
    outputs = np.array([[0.25, 0.75]])
    done = TrialResult(
        TrialTask(learned, 1, 1.0, 2.0), 0.5, outputs, {"rounds": 7}, 1.0, 0.1, 1, 2, ""
    )
    done = replace(done, block_losses=(0.25, 0.5))
    failure = TrialFailure.OUT_OF_MEMORY
    lost = TrialResult(
        TrialTask(BASE, 0, 1.0, 2.0), np.inf, None, {}, 1, 0, 0, 0, "", failure=failure
    )
    trials = [RecordedTrial(done, SURROGATE, 3.5, b"model"), RecordedTrial(lost, FLOOR, 1.0)]
    first, second = decoded(encoded(trials))
    assert first.result.task == done.task and second.result.task == lost.task
    found = first.result.outputs
    assert found is not None and np.array_equal(found, outputs)
    assert second.result.outputs is None
    assert first.result.block_losses == (0.25, 0.5) and second.result.block_losses == ()
    assert (first.model, first.origin, first.seconds) == (b"model", SURROGATE, 3.5)
    assert second.result.failure is failure and second.result.loss == np.inf
    with pytest.raises(ValueError, match="no recorded trials"):
        decoded(b"something else")


def test_the_hopeless_are_kept_without_their_estimator(
    owner: Any, library: Library, tmp_path: Path
) -> None:
    """Most candidates end with the first fold: their scores matter, their estimators do not."""
    keeping = Recorder(owner)
    for number, loss in enumerate([0.1, 0.11, 0.12, 0.13, 0.9]):
        keeping.watch(library, end(library, tmp_path, number, 0, loss))
    keeping.watch(library, end(library, tmp_path, 0, 1, 0.1))
    keeping.close()
    entries = {
        each.candidate.number: each for each in known(owner.store, tmp_path).earlier().entries
    }
    assert {number: each.folds for number, each in entries.items()} == {
        0: 2,
        1: 1,
        2: 1,
        3: 1,
        4: 1,
    }
    assert {number for number, each in entries.items() if not each.has_models} == {4}
    assert entries[0].origin == FLOOR
    earlier = known(owner.store, tmp_path).earlier()
    kept = earlier.entries[0].results[0]
    earlier.fetch(kept)
    assert pickle.loads(Path(kept.model_path).read_bytes()).predict([[1]]) == [1]


def test_a_store_that_is_away_costs_nothing(
    owner: Any, store: AwayStore, library: Library, tmp_path: Path
) -> None:
    """The search is told at once, and all is kept when the store is back."""
    store.away = 5
    keeping = Recorder(owner)
    for number in range(4):
        keeping.watch(library, end(library, tmp_path, number, 0, 0.1))
    assert store.tried.wait(PATIENCE)
    waited = threading.Event()
    for _ in range(1000):
        if len(known(store, tmp_path).trials) == 4 or waited.wait(0.02):
            break
    keeping.close()
    assert len(known(store, tmp_path).trials) == 4


def test_large_estimators_are_objects_of_their_own(
    owner: Any, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not held in memory, and are read when they are needed."""
    monkeypatch.setattr(recorder, "_LARGE_BYTES", 10)
    keeping = Recorder(owner)
    keeping.watch(library, end(library, tmp_path, 0, 0, 0.1))
    keeping.close()
    earlier = known(owner.store, tmp_path).earlier()
    [result] = earlier.entries[0].results
    assert not Path(result.model_path).exists()
    earlier.fetch(result)
    assert Path(result.model_path).stat().st_size == result.model_bytes


def test_the_room_in_the_store_is_bounded(
    owner: Any, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes later is not kept, and that is said once."""
    monkeypatch.setattr(recorder, "MOST_BYTES", 3000)
    keeping = Recorder(owner)
    for number in range(6):
        keeping.watch(library, end(library, tmp_path, number, 0, 0.1))
    keeping.close()
    assert 0 < len(known(owner.store, tmp_path).trials) < 6
    assert len(owner.logged) == 1


def test_a_foreign_pickle_is_not_opened() -> None:
    """What lies in a store is looked at before it is opened."""
    check_estimator(pickle.dumps(DecisionTreeClassifier().fit([[0], [1]], [0, 1])))
    for bad in (b"cos\nsystem\n(S'true'\ntR.", pickle.dumps(Path("/tmp")), b"\x80\x05junk"):
        with pytest.raises(ValueError, match="cannot be opened"):
            check_estimator(bad)
