"""A search from its record to what it publishes, on a store in memory."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact, read_artifact
from common.artifacts.memory import MemoryStore
from common.data.messages import schema_to_proto
from common.data.schema import Column, ColumnType, Schema, Task
from common.errors import FailedPreconditionError
from common.models.skops_model import load_skops
from common.records import RecordStore
from common.runs.errors import RunCancelledError
from common.runs.owner import RunOwner
from common.runs.publishing import settle_request
from services.tuner import job, publication
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.trial_loop import Watch
from services.tuner.domain.search.tuning import NothingLearnedError, Settings, Tuned, tune
from services.tuner.domain.trials.trial import TrialResult
from services.tuner.kind import TUNING_RUNS
from services.tuner.portfolio import OwnPortfolio
from tests.support.asking import AskedCatalog

NAME, VERSION, MODEL = "tuningRuns/t", "datasets/d/versions/1", "models/m"
ROWS, TEST_ROWS = 160, 40
BUDGET = 12


@dataclass
class FakeCatalog(AskedCatalog):
    """Knows one data set version."""

    store: MemoryStore
    version: dataset_pb2.DatasetVersion
    registered: list[model_pb2.ModelVersion] = field(default_factory=list)

    async def dataset_version(self, name: str) -> dataset_pb2.DatasetVersion:
        """Returns the version."""
        assert name == VERSION
        return self.version

    async def register(
        self,
        owner: RunOwner[tuner_pb2.TuningRun],
        model: str,
        version: model_pb2.ModelVersion,
        *,
        despite_cancel: bool,
    ) -> model_pb2.ModelVersion:
        """Registers what was settled first; a cancelled run keeps its model."""
        assert despite_cancel
        made = settle_request(self.store, owner.run, model, version).model_version
        made.name = f"{model}/versions/1"
        self.registered.append(made)
        return made


def stored_version(store: MemoryStore, classes: int = 2) -> dataset_pb2.DatasetVersion:
    """Stores two numbers and a colour that tell a class, and the day of each row."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, ROWS))
    colours = generator.choice(["blue", "red"], ROWS)
    truth = np.where(a + (colours == "red") > 0.5, "yes", "no")
    days = np.datetime64("2026-01-01", "us") + np.arange(ROWS) * np.timedelta64(1, "D")
    data = {
        "a": pa.array(a),
        "b": pa.array(np.where(b > 1.5, np.nan, b)),
        "colour": pa.array(colours),
        "day": pa.array(days),
        "y": pa.array(truth if classes > 1 else ["no"] * ROWS),
    }
    split = np.zeros(ROWS, np.int8)
    split[-TEST_ROWS:], split[:20] = 2, 1
    shard = dataset_pb2.Shard(row_count=ROWS)
    for part, columns in ((shard.data, data), (shard.split, {"split": pa.array(split)})):
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        key = f"shards/{len(columns)}.parquet"
        part.CopyFrom(put_artifact(store, key, buffer.getvalue(), "application/octet-stream"))
    schema = Schema(
        (
            Column("a", ColumnType.NUMERIC),
            Column("b", ColumnType.NUMERIC),
            Column("colour", ColumnType.CATEGORICAL, categories=("blue", "red")),
            Column("day", ColumnType.TIMESTAMP),
            Column("y", ColumnType.CATEGORICAL, categories=("no", "yes")),
        ),
        Task.CLASSIFICATION,
        "y",
        targets=("y",),
    )
    return dataset_pb2.DatasetVersion(
        name=VERSION, row_count=ROWS, schema=schema_to_proto(schema), shards=[shard]
    )


def create_run(store: MemoryStore, name: str = NAME, budget: int = BUDGET, **more: Any) -> None:
    """Adds a search as the service resolves it."""
    spec = tuner_pb2.TuningSpec(
        dataset_version=VERSION,
        model=MODEL,
        targets=["y"],
        kind=tuner_pb2.PROBLEM_KIND_BINARY,
        metric="roc_auc",
        trial_memory_bytes=1 << 30,
        families=["linear", "naive_bayes", "random_forest"],
        **more,
    )
    spec.budget.FromSeconds(budget)
    run = tuner_pb2.TuningRun(name=name, spec=spec, labels={"team": "blue"})
    run.status.state = run_pb2.RUN_STATE_PENDING
    run.status.create_time.GetCurrentTime()
    RecordStore(store).create(run)


def bench(monkeypatch: pytest.MonkeyPatch, classes: int = 2, budget: int = BUDGET) -> FakeCatalog:
    """The catalog that searches ask, in front of a store that has one to work on."""
    store = MemoryStore()
    catalog = FakeCatalog(store, stored_version(store, classes))
    monkeypatch.setattr(job, "ask_catalog", catalog.ask)
    create_run(store, budget=budget)
    return catalog


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> FakeCatalog:
    """See `bench`."""
    return bench(monkeypatch)


def attempt(catalog: FakeCatalog, name: str = NAME) -> tuner_pb2.TuningRun:
    """Works on a search once. Returns it as it is then."""
    owner = RunOwner.acquire(TUNING_RUNS, name, catalog.store)
    try:
        job.run_tuning(owner)
    finally:
        if not owner.ended:
            owner.abandon()
    return record(catalog, name)


def record(catalog: FakeCatalog, name: str = NAME) -> tuner_pb2.TuningRun:
    """Returns a search as it is."""
    return RecordStore(catalog.store).get(name, tuner_pb2.TuningRun).resource


def request_cancel(catalog: FakeCatalog) -> None:
    """Cancels the search as the service does."""

    def change(run: tuner_pb2.TuningRun) -> tuner_pb2.TuningRun:
        run.status.state = run_pb2.RUN_STATE_CANCELLING
        return run

    RecordStore(catalog.store).update(NAME, tuner_pb2.TuningRun, change)


@dataclass
class Done:
    """A search that succeeded.

    Attributes:
        catalog: What it asked.
        run: The search.
        settings: What it was to do.
        tuned: What it found.
    """

    catalog: FakeCatalog
    run: tuner_pb2.TuningRun
    settings: Settings
    tuned: Tuned


@pytest.fixture(scope="module")
def done() -> Iterator[Done]:
    """See `Done`."""
    found: list[tuple[Settings, Tuned]] = []

    def remembered(problem: Problem, settings: Settings, folder: Path, *more: Any) -> Tuned:
        found.append((settings, tune(problem, settings, folder, *more)))
        return found[0][1]

    with pytest.MonkeyPatch.context() as monkeypatch:
        catalog = bench(monkeypatch)
        monkeypatch.setattr(job, "tune", remembered)
        yield Done(catalog, attempt(catalog), *found[0])


def test_the_budget_is_that_of_the_whole_run(done: Done) -> None:
    """Time is kept for what comes after the search. Wall time is measured by the benchmark."""
    assert done.run.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert BUDGET - 6 < done.settings.seconds < BUDGET - 1


def test_the_model_opens_from_the_catalog(done: Done) -> None:
    """With its columns by name, test vectors that repeat, scores and where it comes from."""
    catalog, run = done.catalog, done.run
    [version] = catalog.registered
    model = load_skops(catalog.store, version)
    assert [each.name for each in model.columns] == ["a", "b", "colour", "day"]
    assert list(version.signature.classes) == ["no", "yes"]
    assert version.task == dataset_pb2.TASK_CLASSIFICATION
    assert version.metrics["validation/roc_auc"] == run.summary.score.value > 0.7
    assert version.metrics["test/roc_auc"] == run.summary.test_score.value > 0.7
    assert list(version.lineage.inputs) == [VERSION, NAME]
    assert version.labels["team"] == "blue"
    assert run.model_version == f"{MODEL}/versions/1" == run.status.lineage.outputs[0]


def test_the_leaderboard_tells_what_was_tried(done: Done) -> None:
    """As messages and as Parquet, in the same order; weights are shares of the model."""
    catalog, run = done.catalog, done.run
    content = b"".join(read_artifact(catalog.store, run.candidates))
    candidates = tuner_pb2.ListCandidatesResponse.FromString(content).candidates
    table = pq.read_table(pa.BufferReader(b"".join(read_artifact(catalog.store, run.leaderboard))))
    assert table.column("number").to_pylist() == [each.number for each in candidates]
    assert sum(each.weight for each in candidates) == pytest.approx(1)
    assert run.summary.candidate_count == sum(each.HasField("score") for each in candidates)
    assert {each.family for each in candidates} <= {"linear", "naive_bayes", "random_forest"}
    best = candidates[0]
    assert best.settings and best.fold_count and best.duration.ToNanoseconds() > 0


def test_the_summary_tells_how_good_it_is(done: Done) -> None:
    """For people and programs."""
    summary = done.run.summary
    assert summary.metric == "roc_auc" and "roc_auc" in summary.verdict
    assert summary.row_count == ROWS - TEST_ROWS
    assert sum(each.weight for each in summary.members) == pytest.approx(1)
    assert summary.trial_count >= summary.candidate_count > 0
    assert 0 < summary.first_model_after.ToNanoseconds() / 1e9 < BUDGET
    assert summary.blend


def test_the_page_is_one_file(done: Done) -> None:
    """It says what is found and where it comes from."""
    page = b"".join(read_artifact(done.catalog.store, done.run.report)).decode()
    assert NAME in page and VERSION in page and "Leaderboard" in page


def test_what_was_found_is_kept_for_other_searches(done: Done) -> None:
    """Scores and what the data are like."""
    [known] = OwnPortfolio(done.catalog.store).sets(seconds=10)
    assert (known.source, known.metric) == (NAME, "roc_auc")
    assert known.scores and known.features


@pytest.mark.slow
def test_a_page_that_cannot_be_made_costs_no_model(
    catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch, done: Done
) -> None:
    """The model is what was searched for."""

    def fail(*arguments: object) -> str:
        raise ValueError("no page")

    monkeypatch.setattr(job, "tune", lambda *arguments: done.tuned)
    monkeypatch.setattr(job, "tuning_page", fail)
    run = attempt(catalog)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert run.model_version and not run.HasField("report")


def test_a_cancelled_search_keeps_the_best_so_far(
    catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model, summary and candidates are there when the executor publishes the end."""

    def cancelled_after_a_trial(
        problem: Problem, settings: Settings, folder: Path, watch: Watch, *more: Any
    ) -> Tuned:
        def cancel(library: Library, result: TrialResult) -> None:
            watch(library, result)
            request_cancel(catalog)

        return tune(problem, settings, folder, cancel, *more)

    monkeypatch.setattr(job, "tune", cancelled_after_a_trial)
    with pytest.raises(RunCancelledError):
        attempt(catalog)
    run = record(catalog)
    assert run.status.state == run_pb2.RUN_STATE_CANCELLING
    assert run.model_version == f"{MODEL}/versions/1"
    assert "was cancelled" in run.summary.verdict
    assert run.HasField("candidates") and run.HasField("leaderboard")
    assert load_skops(catalog.store, catalog.registered[0])


def test_a_search_that_is_cancelled_before_a_model_keeps_nothing(
    catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no failure."""

    def in_vain(*arguments: object) -> Tuned:
        request_cancel(catalog)
        stop = arguments[4]
        assert callable(stop)
        while not stop():
            pass
        raise NothingLearnedError

    monkeypatch.setattr(job, "tune", in_vain)
    with pytest.raises(RunCancelledError):
        attempt(catalog)
    assert not record(catalog).model_version


def nothing(*arguments: object) -> NoReturn:
    """Finds no model."""
    raise NothingLearnedError


def test_a_budget_too_small_for_a_search_gives_a_small_model(
    catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the verdict says so, with the cure."""
    monkeypatch.setattr(job, "tune", nothing)
    run = attempt(catalog)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert "budget of 12 s is too small for a search" in run.summary.verdict
    assert [each.family for each in run.summary.members] == ["linear"]
    assert load_skops(catalog.store, catalog.registered[0])


def test_a_budget_too_small_for_any_model_is_said(
    catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the cure."""
    monkeypatch.setattr(job, "tune", nothing)
    monkeypatch.setattr(job, "small_model", nothing)
    with pytest.raises(FailedPreconditionError, match=r"within the budget of 12 s.*larger"):
        attempt(catalog)


def test_one_class_is_nothing_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only seen in the rows fails the run with a sentence."""
    with pytest.raises(FailedPreconditionError, match="column `y` has a single class"):
        attempt(bench(monkeypatch, classes=1))


@pytest.mark.slow
def test_a_failed_attempt_leaves_nothing(
    catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch, done: Done
) -> None:
    """What no version can refer to yet goes with the attempt."""

    def fail(*arguments: object) -> None:
        raise ValueError("no leaderboard")

    monkeypatch.setattr(job, "tune", lambda *arguments: done.tuned)
    monkeypatch.setattr(publication, "write_leaderboard", fail)
    with pytest.raises(ValueError, match="no leaderboard"):
        attempt(catalog)
    assert not [info.key for info in catalog.store.list(f"runs/{NAME}/") if "/tuning/" in info.key]
