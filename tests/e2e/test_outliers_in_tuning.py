"""From faulty rows to a better model: a scan finds them, a search proves what marks are worth."""

from collections.abc import Iterator

import grpc
import pytest

from aimass.catalog.v1 import model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.local.plan import SuiteOptions
from common.testing.suite import RunningSuite, running_suite
from tests.e2e.test_outliers_in_training import scanned

pytestmark = pytest.mark.slow

BUDGET = 45
KEEP = trainer_pb2.OUTLIER_USE_KEEP


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite of its own: searches take both processors."""
    with running_suite(
        tmp_path_factory.mktemp("outliers-suite"), SuiteOptions(agents=0)
    ) as running:
        yield running


def tuned(suite: RunningSuite, scan: outlier_pb2.OutlierScan, model: str) -> tuner_pb2.TuningRun:
    """Searches among families that faulty numbers harm, with and without the scan's marks."""
    spec = tuner_pb2.TuningSpec(
        dataset_version=scan.spec.dataset_version,
        model=f"models/{model}",
        families=["linear", "naive_bayes", "nearest_neighbours"],
        metric="accuracy",
        outliers=tuner_pb2.OutlierMarks(scan=scan.name),
    )
    spec.budget.FromSeconds(BUDGET)
    run = suite.tune(spec)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status
    return run


def test_marks_are_tried_told_and_traced(suite: RunningSuite) -> None:
    """The way from rows to a model: what is adopted has a lower bound above 0, and all is told."""
    scan = scanned(suite, "faulty-tuned", 0.05)
    run = tuned(suite, scan, "outliers-in-tuning")
    outcome = run.summary.outliers
    assert outcome.scan == scan.name and outcome.marked_count > 0 and outcome.candidate_count > 0
    keep, drop, down_weight = outcome.comparison.results
    adopted = {each.use: each for each in (keep, drop, down_weight)}[outcome.adopted]
    assert adopted.adopted and (outcome.adopted == KEEP or adopted.lower_bound > 0)
    assert outcome.verdict in run.summary.verdict
    uses = {each.number: each.outlier_use for each in candidates(suite, run.name)}
    own = {uses[each.candidate] for each in run.summary.members}
    assert own <= {trainer_pb2.OUTLIER_USE_UNSPECIFIED, outcome.adopted}
    lines = [event.log_line.text for event in suite.watch_tuning(run.name)]
    assert any("The scan's marks are" in line for line in lines)
    version = suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=run.model_version))
    assert scan.name in version.lineage.inputs and scan.name in run.status.lineage.inputs
    delete = outlier_pb2.DeleteOutlierScanRequest(name=scan.name)
    with pytest.raises(grpc.RpcError, match=run.name):
        suite.outliers.DeleteOutlierScan(delete)


def test_marks_of_clean_data_are_rarely_used(suite: RunningSuite) -> None:
    """Marks on rows that are only rare are not adopted without proof, and the run says so."""
    run = tuned(suite, scanned(suite, "faultless-tuned", 0), "no-outliers-in-tuning")
    outcome = run.summary.outliers
    if outcome.adopted == KEEP:
        assert not any(each.lower_bound > 0 for each in outcome.comparison.results)
        assert "not used" in outcome.verdict and outcome.share == 0


def candidates(suite: RunningSuite, name: str) -> list[tuner_pb2.Candidate]:
    """Returns what a search tried."""
    request = tuner_pb2.ListCandidatesRequest(name=name, page_size=1000)
    return list(suite.tuning.ListCandidates(request).candidates)
