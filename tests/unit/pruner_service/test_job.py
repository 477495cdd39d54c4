"""A pruning from its record to what it publishes, on a store in memory; measured for real."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from aimass.catalog.v1 import model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import read_artifact
from common.errors import FailedPreconditionError
from common.models.skops_model import load_skops
from common.records import RecordStore
from common.runs.errors import RunCancelledError
from services.pruner import job, publication
from services.pruner.convert import known_data, known_model, run_to_proto, specification_from_proto
from services.pruner.domain.methods import FEWER_MEMBERS
from services.pruner.domain.resolution import resolve_against
from services.pruner.making import Workshop
from services.pruner.points import PointPages, read_version
from tests.support.pruning import (
    DATA,
    MODEL,
    FakeCatalog,
    blend,
    catalog_with,
    create_run,
    owner_of,
    table,
)

pytestmark = pytest.mark.slow

NAME = "pruningRuns/p"


def spec_of(catalog: FakeCatalog, **more: Any) -> pruner_pb2.PruningSpec:
    """Returns a specification as the service resolves it."""
    spec = pruner_pb2.PruningSpec(model_version=MODEL, dataset_version=DATA, **more)
    spec.budget.FromSeconds(60)
    resolved = resolve_against(
        specification_from_proto(spec), known_model(catalog.model), known_data(catalog.data)
    )
    return run_to_proto(resolved).spec


def work(catalog: FakeCatalog, name: str = NAME) -> pruner_pb2.PruningRun:
    """Works on a pruning once. Returns it as it is then."""
    owner = owner_of(catalog.store, name)
    try:
        job.run_pruning(owner)
    finally:
        if not owner.ended:
            owner.abandon()
    return RecordStore(catalog.store).get(name, pruner_pb2.PruningRun).resource


@dataclass
class Done:
    """A pruning that succeeded.

    Attributes:
        catalog: What it asked.
        run: The pruning.
        points: All that it measured.
    """

    catalog: FakeCatalog
    run: pruner_pb2.PruningRun
    points: list[pruner_pb2.Point]


def asking(monkeypatch: pytest.MonkeyPatch, catalog: FakeCatalog) -> FakeCatalog:
    """Puts a catalog where jobs ask."""
    monkeypatch.setattr(job, "ask_catalog", catalog.ask)
    monkeypatch.setattr(publication, "ask_catalog", catalog.ask)
    return catalog


@pytest.fixture(scope="module")
def done() -> Iterator[Done]:
    """A blend of which a third of the members is enough."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        catalog = asking(monkeypatch, catalog_with(blend()))
        spec = spec_of(catalog, max_loss=0.05, methods=[FEWER_MEMBERS])
        create_run(catalog.store, spec, NAME)
        run = work(catalog)
        content = b"".join(read_artifact(catalog.store, run.points))
        yield Done(catalog, run, [*pruner_pb2.ListPointsResponse.FromString(content).points])


def test_what_is_recommended_keeps_the_bound_and_is_registered(done: Done) -> None:
    """The version loads, replays its vectors, and says where it comes from."""
    summary = done.run.summary
    assert done.run.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert summary.is_within
    assert summary.point.loss_high <= summary.max_loss == 0.05
    assert summary.gain == pytest.approx(summary.point.latency_gain)
    assert summary.gain > 1.2
    [version] = done.catalog.registered
    assert done.run.model_version == version.name
    assert list(version.lineage.inputs) == [DATA, NAME, MODEL]
    estimator = load_skops(done.catalog.store, version).estimator
    [part] = summary.point.parts
    assert (part.reduction, part.before) == ("fewer_members", 8)
    assert sum(len(each.estimators_) for each in estimator.estimators_) == part.after < 8
    assert version.metrics["test/roc_auc"] == summary.point.score


def test_every_point_is_measured_and_told(done: Done) -> None:
    """The front comes first; the original is among the points and loses nothing."""
    names = [each.name for each in done.points]
    assert set(names) == {"original", "members_4", "members_2", "members_1"}
    on_front = [each.is_on_front for each in done.points]
    assert on_front == sorted(on_front, reverse=True)
    for each in done.points:
        assert each.loss_low <= each.loss <= each.loss_high
        assert 0 < each.latency.ToNanoseconds() <= each.latency_p99.ToNanoseconds()
        assert each.size_bytes == len(file_of(done.catalog, each.name))
    original = next(each for each in done.points if each.name == "original")
    assert (original.loss, original.loss_high, original.size_gain) == (0, 0, 1)
    smallest = next(each for each in done.points if each.name == "members_1")
    assert smallest.size_gain > 4
    table = pq.read_table(io.BytesIO(b"".join(read_artifact(done.catalog.store, done.run.front))))
    assert table.column("name").to_pylist() == names


def file_of(catalog: FakeCatalog, point: str) -> bytes:
    """Returns the file of a point."""
    version = catalog.model if point == "original" else read_version(catalog.store, NAME, point)
    return b"".join(read_artifact(catalog.store, version.artifacts["skops"]))


def test_the_page_tells_what_to_take_and_why(done: Done) -> None:
    page = b"".join(read_artifact(done.catalog.store, done.run.report)).decode()
    assert f"Take {done.run.summary.recommended}" in page
    assert done.run.summary.reasons[0].split(";")[0] in page


def test_an_attempt_that_goes_on_does_not_make_steps_again(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured before a process ended is taken from the store."""
    catalog = asking(monkeypatch, catalog_with(blend()))
    create_run(catalog.store, spec_of(catalog, max_loss=0.05, methods=[FEWER_MEMBERS]), NAME)

    class KilledError(Exception):
        """Stands for the end of the process after the search."""

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as dying:
        dying.setattr(job, "publish", killed)
        with pytest.raises(KilledError):
            work(catalog)
    assert not catalog.registered

    def refuse(*_: object) -> None:
        raise AssertionError("a step is made again")

    monkeypatch.setattr(Workshop, "variants", refuse)
    run = work(catalog)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert run.summary.point_count == 3
    assert len(catalog.registered) == 1


def test_a_bound_that_cannot_be_met_gives_the_closest_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = asking(monkeypatch, catalog_with(blend()))
    create_run(catalog.store, spec_of(catalog, max_loss=0.0, methods=[FEWER_MEMBERS]), NAME)
    run = work(catalog)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert not run.summary.is_within
    assert "No point loses surely no more than 0" in run.summary.reasons[0]
    assert run.model_version


def test_a_method_that_fails_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = asking(monkeypatch, catalog_with(blend()))
    create_run(catalog.store, spec_of(catalog, methods=[FEWER_MEMBERS]), NAME)

    def broken(*_: object) -> Iterator[Any]:
        raise ValueError("the members cannot be told apart")

    monkeypatch.setattr(Workshop, "variants", broken)
    run = work(catalog)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED
    assert run.summary.recommended == "original"
    assert not run.model_version
    [note] = run.summary.notes
    assert note == "fewer_members of original failed: the members cannot be told apart."


def test_a_model_whose_weights_are_no_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which model and what is wrong with it, not that something is."""
    frame, truth = table()
    broken = LogisticRegression().fit(frame, truth)
    broken.coef_[0, 0] = np.nan
    catalog = asking(monkeypatch, catalog_with(broken))
    create_run(catalog.store, spec_of(catalog), NAME)
    with pytest.raises(FailedPreconditionError, match="models/m/versions/1 cannot be judged on"):
        work(catalog)


def test_a_pruning_that_is_late_tries_one_thing_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where loading and judging the original took the time there is one variant, and a sentence."""
    catalog = asking(monkeypatch, catalog_with(blend()))
    create_run(catalog.store, spec_of(catalog, max_loss=0.05), NAME)
    monkeypatch.setattr(job._Pruning, "_spent", 1_000.0)
    run = work(catalog)
    assert run.summary.point_count == 1 and run.summary.recommended == "members_4"
    began = "The time was over before "
    assert [each.startswith(began) for each in run.summary.notes] == [True, True]
    assert "members_2 was measured: give the pruning more than 60 s." in run.summary.notes[0]


def cancel(catalog: FakeCatalog) -> None:
    """Asks the run to end."""

    def change(run: pruner_pb2.PruningRun) -> pruner_pb2.PruningRun:
        run.status.state = run_pb2.RUN_STATE_CANCELLING
        return run

    RecordStore(catalog.store).update(NAME, pruner_pb2.PruningRun, change)


def test_a_pruning_that_is_cancelled_at_once_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = asking(monkeypatch, catalog_with(blend()))
    create_run(catalog.store, spec_of(catalog, methods=[FEWER_MEMBERS]), NAME)
    cancel(catalog)
    with pytest.raises(RunCancelledError):
        work(catalog)
    assert not catalog.registered


def test_a_pruning_that_is_cancelled_keeps_what_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its points can be listed and applied; nothing is registered by itself."""
    catalog = asking(monkeypatch, catalog_with(blend()))
    spec = spec_of(catalog, max_loss=0.05, methods=[FEWER_MEMBERS])
    create_run(catalog.store, spec, NAME)
    owner = owner_of(catalog.store, NAME)
    variants = Workshop.variants

    def cancelled_after_one(*arguments: Any) -> Iterator[Any]:
        made = variants(*arguments)
        yield next(made)
        cancel(catalog)
        assert owner.cancelled.wait(10)
        yield from made

    monkeypatch.setattr(Workshop, "variants", cancelled_after_one)
    with pytest.raises(RunCancelledError):
        job.run_pruning(owner)
    owner.abandon()
    run = RecordStore(catalog.store).get(NAME, pruner_pb2.PruningRun).resource
    assert run.summary.point_count == 1 and run.HasField("report")
    assert "was cancelled" in run.summary.notes[0]
    assert not catalog.registered and not run.model_version
    pages = PointPages(catalog.store)
    page = pages.page(run, pruner_pb2.ListPointsRequest())
    assert {each.name for each in page.points} == {"original", "members_4"}
    assert pages.point(run, "members_4").parent == "original"
    assert read_version(catalog.store, NAME, "members_4").labels["pruned"] == "members_4"


def test_models_of_searches_are_judged_on_test_rows_alone() -> None:
    """Searches learn from validation rows: nothing is told by these."""
    catalog = catalog_with(blend())
    own = known_model(catalog.model)
    other = model_pb2.ModelVersion()
    other.CopyFrom(catalog.model)
    other.lineage.inputs.append("tuningRuns/t")
    data, wanted = known_data(catalog.data), specification_from_proto(pruner_pb2.PruningSpec())
    first = resolve_against(wanted, own, data)
    second = resolve_against(wanted, known_model(other), data)
    assert (first.choosing, first.judging) == (200, 300)
    assert (second.choosing, second.judging) == (150, 150)
    assert np.isclose(second.specification.confidence, 0.95)
