"""The tuner as its users meet it: searches, their models, candidates, bad input, and faults."""

import io
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import read_artifact
from common.local.plan import SuiteOptions
from common.models.skops_model import load_skops
from common.testing.suite import RunningSuite, running_suite
from services.tuner.domain.trials.trial import TrialResult
from services.tuner.recording.recalling import Recalled
from tests.e2e.analysis_data import CLASSES, COLUMNS, TARGET, table

pytestmark = pytest.mark.slow

BUDGET = 15
QUICK = ("linear", "naive_bayes", "random_forest")
# Machines of tests are busy: how well the budget is kept is measured by the benchmark.
PATIENCE = 3
LEAST_TRIALS = 6


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite with a process for searches ready, as it has at its users'."""
    home = tmp_path_factory.mktemp("tuner-suite")
    with running_suite(home, SuiteOptions(agents=1), {"AIMASS_TUNER_WARM": "true"}) as running:
        yield running


@pytest.fixture(scope="module")
def data(suite: RunningSuite) -> str:
    """A table of four numbers and a colour, of which a fifth is left to test on."""
    split = dataset_pb2.SplitSpec(validation_fraction=0.2, test_fraction=0.2)
    spec = dataset_pb2.DatasetImportSpec(target=TARGET, split=split)
    return suite.import_dataset("tuned-colours", "colours.csv", table(), spec)


def spec_of(data: str, model: str, budget: int = BUDGET) -> tuner_pb2.TuningSpec:
    """Returns a search in families that are quickly fitted."""
    spec = tuner_pb2.TuningSpec(dataset_version=data, model=f"models/{model}", families=QUICK)
    spec.budget.FromSeconds(budget)
    return spec


@pytest.fixture(scope="module")
def tuned(suite: RunningSuite, data: str) -> tuner_pb2.TuningRun:
    """A search in all families, with nothing but data and time."""
    spec = tuner_pb2.TuningSpec(dataset_version=data)
    spec.budget.FromSeconds(BUDGET)
    return suite.tune(spec)


def versions_of(suite: RunningSuite, model: str) -> list[model_pb2.ModelVersion]:
    """Returns the versions of a model."""
    request = model_pb2.ListModelVersionsRequest(parent=f"models/{model}")
    return list(suite.models.ListModelVersions(request).model_versions)


def candidates_of(suite: RunningSuite, name: str, size: int) -> list[tuner_pb2.Candidate]:
    """Returns the candidates of a search, page by page."""
    request = tuner_pb2.ListCandidatesRequest(name=name, page_size=size)
    found: list[tuner_pb2.Candidate] = []
    while True:
        page = suite.tuning.ListCandidates(request)
        assert len(page.candidates) <= size
        found += page.candidates
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


def begun(suite: RunningSuite, spec: tuner_pb2.TuningSpec) -> str:
    """Starts a search. Returns its name once a model has a score."""
    name = suite.create_tuning(spec)
    for event in suite.watch_tuning(name):
        if event.HasField("metrics"):
            return name
    pytest.fail(f"{name} ended without a score: {suite.get_tuning(name).status.error}")


def test_a_model_is_found_within_the_budget(
    suite: RunningSuite, tuned: tuner_pb2.TuningRun, data: str
) -> None:
    """The main path: from data to a model that is better than guessing, with its scores."""
    status, summary = tuned.status, tuned.summary
    assert status.state == run_pb2.RUN_STATE_SUCCEEDED, status.error
    seconds = (status.end_time.ToNanoseconds() - status.start_time.ToNanoseconds()) / 1e9
    assert seconds < PATIENCE * BUDGET
    assert (summary.metric, tuned.spec.metric) == ("log_loss", "log_loss")
    assert 0 < summary.score.value < 1
    assert 0 < summary.test_score.value < 1
    assert summary.verdict and summary.members
    assert data in status.lineage.inputs
    assert list(status.lineage.outputs) == [tuned.model_version]
    [version] = versions_of(suite, "tuned-colours")
    assert version.name == tuned.model_version
    assert version.format == model_pb2.MODEL_FORMAT_SKOPS
    assert version.task == dataset_pb2.TASK_CLASSIFICATION
    assert list(version.signature.classes) == list(CLASSES)
    assert [each.name for each in version.signature.inputs] == list(COLUMNS)
    assert version.metrics["test/log_loss"] == summary.test_score.value


def test_candidates_are_listed_by_page(suite: RunningSuite, tuned: tuner_pb2.TuningRun) -> None:
    """The best first, each once, with weights of those that the model is made of."""
    found = candidates_of(suite, tuned.name, 1)
    assert len({each.number for each in found}) == len(found) >= tuned.summary.candidate_count
    assert sum(each.weight for each in found) == pytest.approx(1)
    assert found == candidates_of(suite, tuned.name, 50)
    assert found[0].HasField("score")


def test_the_page_is_one_html_file(suite: RunningSuite, tuned: tuner_pb2.TuningRun) -> None:
    """It names the search and what it learned from."""
    page = b"".join(read_artifact(suite.store, tuned.report)).decode()
    assert tuned.name in page and tuned.spec.dataset_version in page


def test_other_searches_know_what_was_found(
    suite: RunningSuite, tuned: tuner_pb2.TuningRun
) -> None:
    """What the data are like, and scores: nothing of the data themselves."""
    listed = suite.tuning.ListPortfolio(tuner_pb2.ListPortfolioRequest(page_size=1000))
    [entry] = [each for each in listed.entries if each.source == tuned.name]
    assert entry.kind == tuned.spec.kind and entry.meta_features["log_rows"] > 0
    assert entry.scores[0].regret == 0
    assert not any(f'"{name}"' in str(entry) for name in (*COLUMNS, *CLASSES))


def test_the_model_opens_in_the_analyzer(suite: RunningSuite, tuned: tuner_pb2.TuningRun) -> None:
    """It is a model like any other."""
    part = analyzer_pb2.PartRequest(part=analyzer_pb2.ANALYSIS_PART_STRUCTURE)
    spec = analyzer_pb2.AnalysisSpec(model_version=tuned.model_version, parts=[part])
    spec.budget.FromSeconds(5)
    analysis = suite.analyse(spec)
    assert analysis.status.state == run_pb2.RUN_STATE_SUCCEEDED, analysis.status.error


def test_pictures_are_learned_with_networks_beside(suite: RunningSuite) -> None:
    """An arm of the search trains networks; the model takes pictures, whoever is part of it."""
    split = dataset_pb2.SplitSpec(validation_fraction=0.25, test_fraction=0.2)
    spec = dataset_pb2.DatasetImportSpec(target="label", split=split)
    data = suite.import_dataset("tuned-pictures", "pictures.npz", pictures(), spec)
    wanted = tuner_pb2.TuningSpec(
        dataset_version=data, metric="accuracy", families=["linear", "deep_image"]
    )
    wanted.budget.FromSeconds(20)
    run = suite.tune(wanted)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.summary.score.value > 0.8
    [version] = versions_of(suite, "tuned-pictures")
    [spec_of_pictures] = version.signature.inputs
    assert (spec_of_pictures.dtype, list(spec_of_pictures.shape)) == ("uint8", [-1, 3, 16, 16])
    trained = suite.training.ListTrainingRuns(
        trainer_pb2.ListTrainingRunsRequest(filter=f"labels.tuning-run={run.name.split('/')[1]}")
    ).training_runs
    # On a busy machine none may be done in time: then that is what the summary says.
    assert trained or run.summary.warnings
    networks = [each for each in candidates_of(suite, run.name, 50) if each.family == "deep_image"]
    done = [each for each in trained if each.status.state == run_pb2.RUN_STATE_SUCCEEDED]
    assert len(networks) == len(done)


def test_texts_are_learned_with_networks_beside(suite: RunningSuite) -> None:
    """The model takes texts as they are, whoever is part of it."""
    split = dataset_pb2.SplitSpec(validation_fraction=0.25, test_fraction=0.2)
    types = {"note": dataset_pb2.COLUMN_TYPE_TEXT}
    spec = dataset_pb2.DatasetImportSpec(target="label", split=split, column_types=types)
    data = suite.import_dataset("tuned-texts", "texts.csv", texts(), spec)
    wanted = tuner_pb2.TuningSpec(dataset_version=data, families=["naive_bayes", "deep_text"])
    wanted.budget.FromSeconds(30)
    run = suite.tune(wanted)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    [version] = versions_of(suite, "tuned-texts")
    [note] = version.signature.inputs
    assert note.name == "note"
    predicted = load_skops(suite.store, version).predict(
        {"note": np.array(["a long walk by the sea", None], object)}
    )
    assert np.isfinite(predicted["probabilities"]).all()
    networks = [each for each in candidates_of(suite, run.name, 50) if each.family == "deep_text"]
    # On a busy machine none may be done in time: then that is what the summary says.
    assert networks or run.summary.warnings


def texts() -> bytes:
    """Returns 400 short texts; the order of two words decides."""
    generator = np.random.default_rng(0)
    words = np.array(["sea", "hill", "road", "walk", "tree", "cloud", "rain", "stone"])
    lines = ["note,label"]
    for row in range(400):
        first, *rest = generator.choice(words, 5)
        pair = ("long", "short") if row % 2 else ("short", "long")
        lines.append(f"{first} {pair[0]} {' '.join(rest)} {pair[1]},{'up' if row % 2 else 'down'}")
    return "\n".join(lines).encode()


def pictures() -> bytes:
    """Returns 160 pictures, half of them with a bright stripe."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 120, (160, 16, 16, 3)).astype(np.uint8)
    images[::2, 4:8] += 100
    buffer = io.BytesIO()
    np.savez(buffer, image=images, label=np.where(np.arange(160) % 2, "plain", "striped"))
    return buffer.getvalue()


def test_a_cancelled_search_keeps_the_best_so_far(suite: RunningSuite, data: str) -> None:
    """It stops at once, and what it found by then is a version of the model."""
    name = begun(suite, spec_of(data, "cancelled", 600))
    job = suite.job(name)
    suite.tuning.CancelTuningRun(tuner_pb2.CancelTuningRunRequest(name=name))
    run = suite.finish_tuning(name)
    assert run.status.state == run_pb2.RUN_STATE_CANCELLED
    assert not job.is_running() or job.status() == "zombie"
    [version] = versions_of(suite, "cancelled")
    assert run.model_version == version.name
    assert "cancelled" in run.summary.verdict
    assert candidates_of(suite, name, 50)


def kept_trials(suite: RunningSuite, name: str, folder: Path) -> list[TrialResult]:
    """Returns the trials of a search that are kept in the store."""
    return [each.result for each in Recalled(suite.store, name, folder).trials]


def test_a_killed_search_goes_on(suite: RunningSuite, data: str, tmp_path: Path) -> None:
    """SIGKILL of its process: another attempt goes on after the trials that ended before."""
    name = suite.create_tuning(spec_of(data, "killed-job", 40))
    for _ in suite.watch_tuning(name):
        if len(kept_trials(suite, name, tmp_path)) >= LEAST_TRIALS:
            break
    suite.job(name).kill()
    before = kept_trials(suite, name, tmp_path)
    run = suite.finish_tuning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.status.attempt == 2
    assert [each.name for each in versions_of(suite, "killed-job")] == [run.model_version]
    after = kept_trials(suite, name, tmp_path)
    trials = [(each.task.candidate.number, each.task.fold) for each in after]
    assert len(set(trials)) == len(trials), "a trial was fitted again"
    listed = {each.number: each for each in candidates_of(suite, name, 50)}
    for each in before:
        candidate = listed[each.task.candidate.number]
        assert candidate.family == each.task.candidate.family
        assert each.failure is not None or candidate.fold_count > each.task.fold
    events = suite.watch_tuning(name)
    lines = [each.log_line.text for each in events if each.HasField("log_line")]
    assert any("known from before" in line for line in lines)


def test_a_search_outlives_the_service(suite: RunningSuite, data: str) -> None:
    """SIGKILL of the service: it goes on."""
    name = begun(suite, spec_of(data, "killed-tuner", 20))
    suite.supervised("tuner").kill()
    run = suite.finish_tuning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.status.attempt == 1
    assert [each.name for each in versions_of(suite, "killed-tuner")] == [run.model_version]


def test_a_search_goes_on_from_another(
    suite: RunningSuite, tuned: tuner_pb2.TuningRun, data: str
) -> None:
    """All trials of the other one are taken over, and it cannot be deleted meanwhile."""
    spec = tuner_pb2.TuningSpec(dataset_version=data, continue_from=tuned.name)
    spec.budget.FromSeconds(BUDGET)
    run = suite.tune(spec)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert tuned.name in run.status.lineage.inputs
    before = {each.number: each for each in candidates_of(suite, tuned.name, 50)}
    after = {each.number: each for each in candidates_of(suite, run.name, 50)}
    for number, each in before.items():
        assert after[number].origin == tuner_pb2.CANDIDATE_ORIGIN_CONTINUED
        assert after[number].settings == each.settings
        assert after[number].fold_count >= each.fold_count
    with pytest.raises(grpc.RpcError) as refused:
        suite.tuning.DeleteTuningRun(tuner_pb2.DeleteTuningRunRequest(name=tuned.name))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_what_no_model_learns_is_refused_or_fails_with_a_sentence(suite: RunningSuite) -> None:
    """A target that is missing or constant, and too few rows."""
    rows = "".join(f"{number},{number % 7},same\n" for number in range(60))
    data = suite.import_dataset("one-class", "one.csv", f"a,b,{TARGET}\n{rows}".encode())
    for target in (TARGET, "missing"):
        spec = spec_of(data, "none")
        spec.targets.append(target)
        with pytest.raises(grpc.RpcError) as refused:
            suite.tune(spec)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "targets" in str(refused.value.details())
