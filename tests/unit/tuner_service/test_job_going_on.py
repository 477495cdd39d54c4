"""Searches that go on: after their process was killed, and from other searches."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aimass.catalog.v1 import model_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import read_artifact
from services.tuner import job
from services.tuner.domain.search.library import Entry, Library
from services.tuner.domain.search.trial_loop import Watch
from services.tuner.domain.search.tuning import tune
from services.tuner.domain.trials.trial import TrialResult
from services.tuner.recording.plan import trials_prefix
from services.tuner.recording.recalling import Recalled
from tests.unit.tuner_service.test_job import (
    NAME,
    VERSION,
    FakeCatalog,
    attempt,
    bench,
    create_run,
    record,
)

AFTER = "tuningRuns/after"
# Searches end by their trials, not by their time: machines of tests are busy.
BUDGET = 300
BEFORE_TRIALS, MORE_TRIALS = 14, 4
AFTER_FLOOR = 11  # what anybody would try is completed, of eight folds
PATIENCE = 30.0

Trial = tuple[int, int]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class KilledError(BaseException):
    """Stands in for SIGKILL: nothing after it is done."""


@dataclass
class Spied:
    """A stand-in for `tune` that ends after some trials.

    Attributes:
        most: So many.
        ends: Called then; may raise.
        tunes: What it stands in for.
        fitted: Candidate and fold of the trials, in order, with what they gave.
        found: What was found.
    """

    most: int
    ends: Callable[[], None] = lambda: None
    tunes: Callable[..., Any] = tune
    fitted: dict[Trial, TrialResult] = field(default_factory=dict)
    found: list[Any] = field(default_factory=list)

    def __call__(self, data: Any, settings: Any, folder: Path, watch: Watch, *more: Any) -> Any:
        def told(library: Library, result: TrialResult) -> None:
            watch(library, result)
            self.fitted[result.task.candidate.number, result.task.fold] = result
            if len(self.fitted) == self.most:
                self.ends()

        stopped, earlier = more
        self.found.append(
            self.tunes(data, settings, folder, told, lambda: self._is_over(stopped), earlier)
        )
        return self.found[0]

    def _is_over(self, stopped: Callable[[], bool]) -> bool:
        return stopped() or len(self.fitted) >= self.most


def publish_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what takes long: the page, and the model's file."""
    monkeypatch.setattr(job, "tuning_page", lambda *arguments: "")
    monkeypatch.setattr(job, "packaged", lambda *arguments: None)
    monkeypatch.setattr(job, "store_package", lambda *arguments: model_pb2.ModelVersion())


def small_bench(monkeypatch: pytest.MonkeyPatch) -> FakeCatalog:
    """See `bench`."""
    publish_little(monkeypatch)
    return bench(monkeypatch, budget=BUDGET)


def known(catalog: FakeCatalog, folder: Path) -> dict[Trial, float]:
    """Returns the losses of the trials in the store."""
    trials = Recalled(catalog.store, NAME, folder).trials
    return {
        (each.result.task.candidate.number, each.result.task.fold): each.result.loss
        for each in trials
    }


def candidates(catalog: FakeCatalog, run: tuner_pb2.TuningRun) -> dict[int, tuner_pb2.Candidate]:
    """Returns the leaderboard of a search by number."""
    content = b"".join(read_artifact(catalog.store, run.candidates))
    listed = tuner_pb2.ListCandidatesResponse.FromString(content).candidates
    return {each.number: each for each in listed}


def entries(library: Library) -> dict[Trial, Entry]:
    """Returns the entries of the trials of a library."""
    return {
        (number, fold): each
        for number, each in library.entries.items()
        for fold in range(each.folds)
    }


def kill(catalog: FakeCatalog, folder: Path, trials: int) -> None:
    """Ends an attempt as SIGKILL does, once so many trials are in the store."""
    end = time.monotonic() + PATIENCE
    while len(known(catalog, folder)) < trials:
        assert time.monotonic() < end, "trials are not kept in the background"
    raise KilledError


def test_what_was_fitted_before_a_kill_is_not_fitted_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Same folds, same numbers; the leaderboard has the trials of both attempts."""
    catalog = small_bench(monkeypatch)

    first = Spied(BEFORE_TRIALS, lambda: kill(catalog, tmp_path, BEFORE_TRIALS))
    monkeypatch.setattr(job, "tune", first)
    with pytest.raises(KilledError):
        attempt(catalog)
    second = Spied(MORE_TRIALS)
    monkeypatch.setattr(job, "tune", second)
    run = attempt(catalog)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED and run.status.attempt == 2
    assert not set(first.fitted) & set(second.fitted)
    library = second.found[0].library
    for (number, fold), result in first.fitted.items():
        entry = library.entries[number]
        assert entry.candidate == result.task.candidate
        if result.failure is None:
            assert entry.results[fold].loss == result.loss
    listed = candidates(catalog, run)
    assert {number for number, _ in first.fitted} <= set(listed)
    assert run.summary.trial_count >= len(first.fitted)
    assert set(known(catalog, tmp_path)) == {*first.fitted, *second.fitted}


@pytest.fixture(scope="module")
def ended() -> Iterator[tuple[FakeCatalog, Spied]]:
    """A search that has ended with a model, and its trials."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        catalog, spied = small_bench(monkeypatch), Spied(BEFORE_TRIALS)
        monkeypatch.setattr(job, "tune", spied)
        attempt(catalog)
        yield catalog, spied


def go_on(
    catalog: FakeCatalog,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    most: int = MORE_TRIALS,
    **more: Any,
) -> Spied:
    """Works on a search that goes on from the one that has ended."""
    monkeypatch.setattr(job, "ask_catalog", catalog.ask)
    publish_little(monkeypatch)
    create_run(catalog.store, name, BUDGET, continue_from=NAME, **more)
    spied = Spied(most)
    monkeypatch.setattr(job, "tune", spied)
    attempt(catalog, name)
    return spied


def test_on_the_same_data_nothing_is_fitted_again(
    ended: tuple[FakeCatalog, Spied], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new leaderboard holds all of the old one, and says where it comes from."""
    catalog, before = ended
    spied = go_on(catalog, AFTER, monkeypatch)
    assert not set(before.fitted) & set(spied.fitted)
    listed = candidates(catalog, record(catalog, AFTER))
    continued = {
        number
        for number, each in listed.items()
        if each.origin == tuner_pb2.CANDIDATE_ORIGIN_CONTINUED
    }
    assert continued == {number for number, _ in before.fitted}
    assert record(catalog, AFTER).summary.floor_scores


def test_searches_go_on_one_after_the_other(
    ended: tuple[FakeCatalog, Spied], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third knows what the first and the second have fitted."""
    catalog, before = ended
    second = go_on(catalog, "tuningRuns/second", monkeypatch)
    create_run(catalog.store, "tuningRuns/third", BUDGET, continue_from="tuningRuns/second")
    third = Spied(MORE_TRIALS)
    monkeypatch.setattr(job, "tune", third)
    attempt(catalog, "tuningRuns/third")
    assert not ({*before.fitted, *second.fitted} & set(third.fitted))
    assert {*before.fitted, *second.fitted} <= set(entries(third.found[0].library))


def test_with_another_seed_what_was_found_is_tried_first(
    ended: tuple[FakeCatalog, Spied], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So too in another version of the data: trials are fitted anew."""
    catalog, before = ended
    spied = go_on(catalog, "tuningRuns/reseeded", monkeypatch, AFTER_FLOOR, seed=7)
    found = [(each.task.candidate, each.task.fold) for each in before.fitted.values()]
    known = [(each.family, each.configuration) for each, fold in found if not fold]
    tried = [each.task.candidate for each in spied.fitted.values()]
    assert all((each.family, each.configuration) in known for each in tried)
    listed = candidates(catalog, record(catalog, "tuningRuns/reseeded"))
    origins = {each.origin for each in listed.values()}
    assert tuner_pb2.CANDIDATE_ORIGIN_CONTINUED in origins


def test_trials_are_kept_within_the_run(ended: tuple[FakeCatalog, Spied]) -> None:
    """They go where the run goes, and nothing else is written."""
    catalog, _ = ended
    assert trials_prefix(NAME).startswith(f"runs/{NAME}/")
    keys = [each.key for each in catalog.store.list(trials_prefix(NAME))]
    assert f"{trials_prefix(NAME)}plan.json" in keys
    assert VERSION in record(catalog).spec.dataset_version
