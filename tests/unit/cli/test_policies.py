"""What the command does with policies: creates, shows, runs, pauses and deletes them."""

from pathlib import Path
from unittest.mock import MagicMock

import pytest
from google.protobuf import text_format

from aimass.tuner.v1 import policy_pb2
from common.cli import apply, policies
from common.cli.context import CliContext
from tests.unit.cli.support import shown_by, typer_context

POLICY = text_format.Parse(
    r"""
    name: "tuningPolicies/p"
    dataset: "datasets/iris"
    spec { model: "models/iris" }
    triggers { drift: 0.25 feedback_rows: 100 }
    alias: "champion"
    creator: "ada@example.com"
    state { dataset_version: "datasets/iris/versions/3" decision_count: 2 }
    """,
    policy_pb2.TuningPolicy(),
)
DECISION = text_format.Parse(
    r"""
    name: "tuningPolicies/p/decisions/2"
    outcome: DECISION_OUTCOME_MOVED
    reason: "It is \033[2Jclearly better."
    dataset_version: "datasets/iris/versions/3"
    base_version: "datasets/iris/versions/2"
    drifts { column: "width" distance: 0.5 }
    drifts { column: "new" }
    tuning_run: "tuningRuns/p-1-2"
    comparison {
      model_version: "models/iris/versions/1" gain: 0.1 gain_low: 0.05 gain_high: 0.2 row_count: 300
    }
    create_time { seconds: 1 }
    """,
    policy_pb2.TuningDecision(),
)


@pytest.fixture
def suite() -> MagicMock:
    """Stubs that answer what a test says."""
    clients = MagicMock()
    clients.policies.CreateTuningPolicy.return_value = POLICY
    clients.policies.GetTuningPolicy.return_value = POLICY
    clients.policies.UpdateTuningPolicy.return_value = POLICY
    clients.policies.RunTuningPolicy.return_value = DECISION
    page = policy_pb2.ListTuningPoliciesResponse(tuning_policies=[POLICY])
    clients.policies.ListTuningPolicies.return_value = page
    decided = policy_pb2.ListTuningDecisionsResponse(tuning_decisions=[DECISION])
    clients.policies.ListTuningDecisions.return_value = decided
    return clients


def test_options_become_the_policy(cli: CliContext, suite: MagicMock) -> None:
    """Bounds that are not given stay unset, so that the default holds."""
    policies.create(typer_context(cli), "iris", name="p", budget=60, drift=0.25)
    request = suite.policies.CreateTuningPolicy.call_args.args[0]
    policy = request.tuning_policy
    assert (request.tuning_policy_id, policy.dataset) == ("p", "datasets/iris")
    assert (policy.spec.budget.seconds, policy.triggers.drift) == (60, 0.25)
    assert not policy.triggers.HasField("feedback_rows")
    assert not policy.triggers.HasField("new_version")
    shown = shown_by(cli)
    assert "watches datasets/iris for models/iris@champion, as ada@example.com wanted" in shown
    assert "drift above 0.25, feedback on 100 rows" in shown
    assert "looked at datasets/iris/versions/3; 2 decisions" in shown


def test_decisions_are_shown_with_their_numbers(cli: CliContext, suite: MagicMock) -> None:
    """Texts of others steer nothing."""
    policies.decisions(typer_context(cli), "p", most=5)
    shown = shown_by(cli)
    assert "moved" in shown and "0.1" in shown and "\033" not in shown
    assert suite.policies.ListTuningDecisions.call_args.args[0].parent == "tuningPolicies/p"


def test_a_run_says_why_and_what(cli: CliContext, suite: MagicMock) -> None:
    """A dry run as well."""
    policies.run(typer_context(cli), "p", dry_run=True)
    assert suite.policies.RunTuningPolicy.call_args.args[0].dry_run
    shown = shown_by(cli)
    assert "moved since datasets/iris/versions/2: width 0.5" in shown
    assert "new another kind" in shown and "search: tuningRuns/p-1-2" in shown
    assert "gain 0.1 (0.05 to 0.2) on 300 test rows" in shown


def test_pausing_changes_nothing_else(cli: CliContext, suite: MagicMock) -> None:
    """The mask names one field."""
    for command, is_paused in ((policies.pause, True), (policies.resume, False)):
        command(typer_context(cli), "p")
        request = suite.policies.UpdateTuningPolicy.call_args.args[0]
        assert request.tuning_policy.paused is is_paused
        assert list(request.update_mask.paths) == ["paused"]


def test_policies_are_listed_shown_and_deleted(cli: CliContext, suite: MagicMock) -> None:
    """By id or whole name."""
    policies.list_(typer_context(cli))
    policies.show(typer_context(cli), "tuningPolicies/p")
    policies.delete(typer_context(cli), "p")
    assert suite.policies.DeleteTuningPolicy.call_args.args[0].name == "tuningPolicies/p"
    assert "tuningPolicies/p was deleted" in shown_by(cli)


def test_a_policy_can_be_applied_from_a_file(
    cli: CliContext, suite: MagicMock, tmp_path: Path
) -> None:
    """It is no run, so nothing is followed."""
    file = tmp_path / "policy.yaml"
    file.write_text("kind: TuningPolicy\ntuning_policy: {dataset: datasets/iris}\n")
    apply.apply(typer_context(cli), file, detach=False, validate_only=False)
    request = suite.policies.CreateTuningPolicy.call_args.args[0]
    assert request.tuning_policy.dataset == "datasets/iris" and request.request_id
    assert "tuningPolicies/p was created" in shown_by(cli)
