"""A policy as its users meet it: from a new version to an alias that moved or stayed."""

import time
from collections.abc import Iterator
from contextlib import suppress

import grpc
import numpy as np
import pytest
from google.protobuf import field_mask_pb2

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.tuner.v1 import policy_pb2, tuner_pb2
from common.local.plan import SuiteOptions
from common.testing.suite import RunningSuite, running_suite

pytestmark = pytest.mark.slow

DATA, MODEL, NAME = "watched", "models/watched", "tuningPolicies/watching"
ROWS = 400
BUDGET = 8
PATIENCE_SECONDS = 240.0


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite whose policies look twice a second."""
    home = tmp_path_factory.mktemp("policy-suite")
    more = {"AIMASS_TUNER_WARM": "true", "AIMASS_TUNER_POLICY_SECONDS": "0.5"}
    with running_suite(home, SuiteOptions(agents=1), more) as running:
        yield running


def import_rows(suite: RunningSuite, seed: int, *, append: bool) -> str:
    """Imports rows of which the first column tells the class; a third is tested on."""
    telling, noise, other = np.random.default_rng(seed).normal(size=(3, ROWS))
    labels = np.where(telling + 0.3 * noise > 0, "yes", "no")
    lines = [f"{a:.4f},{b:.4f},{y}" for a, b, y in zip(telling, other, labels, strict=True)]
    split = dataset_pb2.SplitSpec(validation_fraction=0.2, test_fraction=0.3)
    spec = dataset_pb2.DatasetImportSpec(target="y", split=split, append=append)
    return suite.import_dataset(
        DATA, "rows.csv", "\n".join(["telling,other,y", *lines]).encode(), spec
    )


def decided(suite: RunningSuite, number: int) -> policy_pb2.TuningDecision:
    """Waits until a decision has ended, also while the service is away."""
    request = policy_pb2.ListTuningDecisionsRequest(parent=NAME)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with suppress(grpc.RpcError):
            for each in suite.policies.ListTuningDecisions(request).tuning_decisions:
                if each.name.endswith(f"/{number}") and each.HasField("end_time"):
                    return each
        time.sleep(0.2)
    pytest.fail(f"decision {number} has not ended")


def update(suite: RunningSuite, policy: policy_pb2.TuningPolicy, *paths: str) -> None:
    """Changes the policy."""
    policy.name = NAME
    mask = field_mask_pb2.FieldMask(paths=paths)
    suite.policies.UpdateTuningPolicy(
        policy_pb2.UpdateTuningPolicyRequest(tuning_policy=policy, update_mask=mask)
    )


def champion(suite: RunningSuite) -> int:
    """Returns the version that the alias points at."""
    model = suite.models.GetModel(model_pb2.GetModelRequest(name=MODEL))
    return model.aliases["champion"]


@pytest.mark.timeout(300)  # three searches
def test_a_policy_keeps_the_best_model_behind_an_alias(suite: RunningSuite) -> None:
    """The first model, a new version with a dry run, SIGKILL in between, a worse challenger."""
    import_rows(suite, 1, append=False)
    policy = policy_pb2.TuningPolicy(dataset=f"datasets/{DATA}")
    policy.spec.families.extend(["linear", "decision_tree"])
    policy.spec.budget.FromSeconds(BUDGET)
    suite.policies.CreateTuningPolicy(
        policy_pb2.CreateTuningPolicyRequest(tuning_policy=policy, tuning_policy_id="watching")
    )
    first = decided(suite, 1)
    assert first.outcome == policy_pb2.DECISION_OUTCOME_FIRST, first.reason
    assert champion(suite) == 1

    update(suite, policy_pb2.TuningPolicy(paused=True), "paused")
    version = import_rows(suite, 2, append=True)
    dry = suite.policies.RunTuningPolicy(policy_pb2.RunTuningPolicyRequest(name=NAME, dry_run=True))
    assert "is new" in dry.reason and dry.spec.champion == f"{MODEL}/versions/1"
    assert dry.spec.continue_from == first.tuning_run
    update(suite, policy_pb2.TuningPolicy(paused=False), "paused")
    suite.supervised("tuner").kill()
    second = decided(suite, 2)
    assert second.outcome in (
        policy_pb2.DECISION_OUTCOME_KEPT,
        policy_pb2.DECISION_OUTCOME_MOVED,
    ), second.reason
    assert (second.dataset_version, second.comparison.row_count) == (version, 2 * 0.3 * ROWS)
    is_moved = second.outcome == policy_pb2.DECISION_OUTCOME_MOVED
    assert is_moved == (second.comparison.gain_low > 0)
    best = champion(suite)
    assert best == (2 if is_moved else 1)

    policy.spec.left_out.append("telling")
    update(suite, policy, "spec")
    begun = suite.policies.RunTuningPolicy(policy_pb2.RunTuningPolicyRequest(name=NAME))
    assert begun.trigger == policy_pb2.POLICY_TRIGGER_REQUEST
    third = decided(suite, 3)
    assert third.outcome == policy_pb2.DECISION_OUTCOME_KEPT, third.reason
    assert third.comparison.gain_high < 0 and champion(suite) == best
    runs = suite.tuning.ListTuningRuns(tuner_pb2.ListTuningRunsRequest()).tuning_runs
    assert len(runs) == 3, "each decision has one search"
