"""Prunings whose processes die, freeze or are cancelled."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from aimass.catalog.v1 import model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2, run_pb2
from common.models.skops_model import load_skops
from common.testing.suite import RunningSuite
from tests.e2e.faults import is_alive
from tests.e2e.pruning_data import (
    BUDGET,
    import_colours,
    import_forest,
    points_of,
    pruning_suite,
    spec_of,
    trainings_of,
    version_of,
)

# A test may learn a model, and prune it within the budget.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_BEGINS = " is tried on "


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite for prunings that soon notices an owner that does nothing any more."""
    yield from pruning_suite(tmp_path_factory, AIMASS_LEASE_TTL_SECONDS="10")


@pytest.fixture(scope="module")
def data(suite: RunningSuite) -> str:
    """Four numbers and a colour."""
    return import_colours(suite)


@pytest.fixture(scope="module")
def forest(suite: RunningSuite, data: str) -> str:
    """A forest from elsewhere."""
    return import_forest(suite, data)


def kills_worker(suite: RunningSuite, training: str) -> bool:
    """Kills a worker as soon as a training has done its first epochs; whether it came in time."""
    for event in suite.watch_run(training):
        workers = suite.workers("agent-1") if event.HasField("metrics") else []
        if workers:
            workers[0].kill()
            return True
    return False


@pytest.mark.timeout(600)
def test_nobody_trains_for_a_pruning_that_is_gone(suite: RunningSuite, data: str) -> None:
    """SIGKILL of its process: the next attempt ends what it left. So does a cancel."""
    network = network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[64, 32]))
    training = trainer_pb2.TrainingSpec(
        dataset_version=data, model="models/left", network=network, epochs=2
    )
    spec = spec_of(suite.train(training).model_version, methods=["fewer_units"])
    spec.budget.FromSeconds(1200)
    spec.fine_tuning.epochs = 1000
    name = suite.create_pruning(spec)
    killed = ""
    for event in suite.watch_pruning(name):
        text = event.log_line.text
        if not text.startswith("trainingRuns/"):
            continue
        if killed:
            assert not text.startswith(killed)
            break
        killed = text.partition(" ")[0]
        suite.job(name).kill()
    assert suite.finish_run(killed).status.state == run_pb2.RUN_STATE_CANCELLED
    suite.pruning.CancelPruningRun(pruner_pb2.CancelPruningRunRequest(name=name))
    assert suite.finish_pruning(name).status.state == run_pb2.RUN_STATE_CANCELLED
    assert len(trainings_of(suite, name)) == 2
    for each in trainings_of(suite, name):
        assert suite.finish_run(each.name).status.state == run_pb2.RUN_STATE_CANCELLED


def test_a_killed_pruning_goes_on(suite: RunningSuite, forest: str) -> None:
    """SIGKILL of its process: another attempt goes on after the steps that were done before."""
    name = suite.create_pruning(spec_of(forest, model="models/killed"))
    for event in suite.watch_pruning(name):
        if event.HasField("log_line") and "loses" in event.log_line.text:
            break
    suite.job(name).kill()
    run = suite.finish_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.status.attempt == 2
    listed = model_pb2.ListModelVersionsRequest(parent="models/killed")
    versions = suite.models.ListModelVersions(listed).model_versions
    assert [each.name for each in versions] == [run.model_version]


@pytest.mark.timeout(600)
def test_a_pruning_killed_in_each_step_loses_that_step_alone(
    suite: RunningSuite, forest: str
) -> None:
    """SIGKILL while it loads, in every method it tries, and while it publishes."""
    spec = spec_of(forest, model="models/killed-often")
    spec.budget.FromSeconds(6 * BUDGET)
    name = suite.create_pruning(spec)
    seen, killed = set[str](), set[int]()
    for event in suite.watch_pruning(name):
        text = event.log_line.text
        moment = text if _BEGINS in text else event.progress.stage
        if moment and moment not in seen and event.attempt not in killed:
            seen.add(moment)
            killed.add(event.attempt)
            with suppress(psutil.NoSuchProcess):  # the last one may be done by then
                suite.job(name).kill()
    run = suite.get_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert {"loading", "publishing"} <= seen
    begun = defaultdict[int, list[str]](list)
    for event in suite.watch_pruning(name):
        if _BEGINS in event.log_line.text:
            begun[event.attempt].append(event.log_line.text)
    steps = {each for each in seen if _BEGINS in each}
    assert len(steps) >= 3
    lost = Counter(each[-1] for attempt, each in begun.items() if attempt != run.status.attempt)
    done = Counter(each for own in begun.values() for each in own)
    assert all(count <= lost[step] + 1 for step, count in done.items()), "done again"
    listed = model_pb2.ListModelVersionsRequest(parent="models/killed-often")
    versions = suite.models.ListModelVersions(listed).model_versions
    assert [each.name for each in versions] == [run.model_version]


@pytest.mark.timeout(600)
def test_a_worker_that_dies_costs_a_pruning_nothing(suite: RunningSuite, data: str) -> None:
    """The trainer goes on from the last commit, and the pruning hears nothing of it."""
    network = network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[128, 64]))
    training = trainer_pb2.TrainingSpec(
        dataset_version=data, model="models/worn", network=network, epochs=10
    )
    original = suite.train(training).model_version
    spec = spec_of(original, methods=["fewer_units"], gain=pruner_pb2.GAIN_SIZE)
    spec.budget.FromSeconds(5 * BUDGET)
    spec.fine_tuning.epochs = 40
    spec.kept_layers.append("layers.0")
    name, killed = suite.create_pruning(spec), False
    for event in suite.watch_pruning(name):
        if not killed and event.log_line.source == "training":
            killed = kills_worker(suite, event.log_line.text.partition(" ")[0])
    run = suite.get_pruning(name)
    assert killed and run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    first = trainings_of(suite, name)[0]
    assert first.status.state == run_pb2.RUN_STATE_SUCCEEDED, first.status.error
    assert version_of(suite, run.model_version).network.mlp.hidden_widths[0] == 128
    assert version_of(suite, run.model_version).network.mlp.hidden_widths[1] < 64


def test_a_frozen_pruning_goes_on(suite: RunningSuite, forest: str) -> None:
    """SIGSTOP of its process: another attempt takes over, and the frozen one can do no harm."""
    name = suite.create_pruning(spec_of(forest, model="models/frozen"))
    for event in suite.watch_pruning(name):
        if event.HasField("log_line") and "loses" in event.log_line.text:
            break
    frozen = suite.job(name)
    frozen.suspend()
    run = suite.finish_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.status.attempt == 2
    assert not is_alive(frozen)


def test_a_cancelled_pruning_keeps_points_that_can_be_applied(
    suite: RunningSuite, forest: str
) -> None:
    """Protects what was measured from a change of mind."""
    name = suite.create_pruning(spec_of(forest, model="models/cancelled"))
    for event in suite.watch_pruning(name):
        if event.HasField("log_line") and "loses" in event.log_line.text:
            break
    suite.pruning.CancelPruningRun(pruner_pb2.CancelPruningRunRequest(name=name))
    run = suite.finish_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_CANCELLED
    assert not run.model_version and run.summary.point_count >= 1
    point = next(each for each in points_of(suite, name) if each.parent)
    request = pruner_pb2.ApplyPointRequest(name=name, point=point.name)
    applied = suite.pruning.ApplyPoint(request).model_version
    assert applied.startswith("models/cancelled/versions/")
    load_skops(suite.store, version_of(suite, applied))


def test_a_pruning_outlives_the_service(suite: RunningSuite, forest: str) -> None:
    """SIGKILL of the service: it goes on."""
    name = suite.create_pruning(spec_of(forest, model="models/outliving"))
    for event in suite.watch_pruning(name):
        if event.HasField("log_line"):
            break
    suite.supervised("pruner").kill()
    run = suite.finish_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
