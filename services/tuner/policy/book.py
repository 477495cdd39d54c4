"""Policies and their decisions as records. Everything here may be repeated, by any replica.

A decision is begun by creating its record, whose number follows from the policy: of several
replicas one creates it, and the others, also those that come after a crash, go on with it.
"""

from collections.abc import Callable
from contextlib import suppress

from aimass.tuner.v1 import policy_pb2
from common.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from common.names import TuningPolicyName
from common.records import Page, RecordStore, RequestId

_MOST_TRIES = 5
_SHOWN_ID = 36

Policy = policy_pb2.TuningPolicy
Decision = policy_pb2.TuningDecision


class PolicyBook:
    """Keeps policies. Safe to use from several threads and processes."""

    def __init__(self, records: RecordStore) -> None:
        """Keeps them among the suite's resources."""
        self._records = records

    def create(self, policy: Policy, request: RequestId | None) -> Policy:
        """Stores a new policy; a repeat of a request returns the first result."""
        return self._records.create(policy, request=request).resource

    def get(self, name: str) -> Policy:
        """Returns a policy. Raises `NotFoundError`."""
        return self._records.get(name, Policy).resource

    def all(self) -> list[Policy]:
        """Returns all policies."""
        found = self._records.find(TuningPolicyName.collection, Policy)
        return [record.resource for record in found]

    def page(self, request: policy_pb2.ListTuningPoliciesRequest) -> Page[Policy]:
        """Returns a page of policies, newest first."""
        return self._records.list(
            TuningPolicyName.collection,
            Policy,
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )

    def decisions(self, request: policy_pb2.ListTuningDecisionsRequest) -> Page[Decision]:
        """Returns a page of a policy's decisions, newest first. Raises `NotFoundError`."""
        self.get(request.parent)
        return self._records.list(
            f"{request.parent}/decisions",
            Decision,
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )

    def update(self, name: str, change: Callable[[Policy], Policy | None]) -> Policy:
        """Changes a policy; see `RecordStore.update`."""
        return self._records.update(name, Policy, change).resource

    def delete(self, name: str) -> None:
        """Deletes a policy with its decisions, which refer to it.

        Raises:
            NotFoundError: There is no such policy.
            FailedPreconditionError: It decides faster than its decisions are deleted.
        """
        for _ in range(_MOST_TRIES):
            self._delete_decisions(name)
            with suppress(FailedPreconditionError):  # A decision was begun meanwhile.
                self._records.delete(name, Policy)
                return
        self._records.delete(name, Policy)

    def _delete_decisions(self, name: str) -> None:
        for record in self._records.find(f"{name}/decisions", Decision):
            with suppress(NotFoundError):  # Another caller deletes it, too.
                self._records.delete(record.name, Decision)

    def decision(self, name: str) -> Decision:
        """Returns a decision. Raises `NotFoundError`."""
        return self._records.get(name, Decision).resource

    def begin(self, policy: Policy, draft: Decision) -> Decision:
        """Begins the next decision of a policy.

        Args:
            policy: As it was when the decision was made.
            draft: The decision, without a name.

        Returns:
            It, or the one that was begun in its place.

        Raises:
            NotFoundError: The policy was deleted.
        """
        draft.name = f"{policy.name}/decisions/{policy.state.decision_count + 1}"
        try:
            begun = self._records.create(draft, references=[policy.name]).resource
        except AlreadyExistsError:
            begun = self.decision(draft.name)
        self.update(policy.name, lambda each: _with_decision(each, begun))
        return begun

    def note_run(self, name: str, run: str) -> None:
        """Notes that the search of a decision was created."""

        def change(decision: Decision) -> Decision | None:
            if decision.tuning_run == run:
                return None
            decision.tuning_run = run
            return decision

        self._records.update(name, Decision, change)

    def end(self, decision: Decision) -> Decision:
        """Stores what came of a decision, unless somebody else has; returns what is stored."""

        def change(stored: Decision) -> Decision | None:
            if stored.outcome != policy_pb2.DECISION_OUTCOME_SEARCHING:
                return None
            return decision

        return self._records.update(decision.name, Decision, change).resource

    def close(self, policy: str, decision: Decision) -> None:
        """Lets a policy go on after a decision that has ended."""

        def change(stored: Policy) -> Policy | None:
            if stored.state.decision != decision.name:
                return None
            stored.state.decision = ""
            if decision.model_version:
                stored.state.tuning_run = decision.tuning_run
                stored.state.learned_version = decision.dataset_version
            return stored

        self.update(policy, change)


def run_id(policy: Policy, decision: Decision) -> str:
    """Returns the id of a decision's search: always the same, and no other one's."""
    shown = TuningPolicyName.from_name(policy.name).id[:_SHOWN_ID].rstrip("-")
    number = decision.name.rpartition("/")[2]
    return f"{shown}-{policy.state.uid}-{number}"


def _with_decision(policy: Policy, begun: Decision) -> Policy | None:
    number = int(begun.name.rpartition("/")[2])
    if policy.state.decision_count >= number:
        return None
    state = policy.state
    state.decision_count = number
    state.dataset_version = begun.dataset_version
    if begun.outcome == policy_pb2.DECISION_OUTCOME_SEARCHING:
        state.decision = begun.name
    if begun.trigger != policy_pb2.POLICY_TRIGGER_UNSPECIFIED:
        state.feedback_until.CopyFrom(begun.create_time)
    return policy
