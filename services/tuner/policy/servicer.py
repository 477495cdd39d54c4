"""PolicyService: check, call, return."""

import asyncio

from google.protobuf import empty_pb2

from aimass.tuner.v1 import policy_pb2, policy_pb2_grpc
from common.errors import ConflictError, InvalidFieldError
from common.identity import caller
from common.names import DatasetName, TuningPolicyName, new_id, validate_id
from common.records import RequestId
from common.runs.kind import check_labels
from services.tuner.policy.acting import Actor
from services.tuner.policy.book import PolicyBook
from services.tuner.policy.checking import FIELD, PolicyCheck, checked_triggers, new_etag
from services.tuner.policy.loop import PolicyLoop

_CREATE = "/aimass.tuner.v1.PolicyService/CreateTuningPolicy"
_CHANGEABLE = ("spec", "triggers", "paused", "labels")


class PolicyServicer(policy_pb2_grpc.PolicyServiceServicer):
    """Policies as resources.

    Args:
        book: Where they are kept.
        check: Resolves them.
        actor: Acts for them.
        loop: Looks after them.
    """

    def __init__(
        self, book: PolicyBook, check: PolicyCheck, actor: Actor, loop: PolicyLoop
    ) -> None:
        self._book = book
        self._check = check
        self._actor = actor
        self._loop = loop

    async def CreateTuningPolicy(
        self, request: policy_pb2.CreateTuningPolicyRequest, context: object
    ) -> policy_pb2.TuningPolicy:
        """Resolves a policy and stores it."""
        identity = RequestId.of(caller().subject, _CREATE, request.request_id, request)
        given = request.tuning_policy_id
        if given:
            validate_id(given, "tuning_policy_id")
        policy = await self._check.resolved(request.tuning_policy)
        if request.validate_only:
            policy.name = TuningPolicyName(given).name if given else ""
            return policy
        policy.name = TuningPolicyName(given or new_id("policy")).name
        policy.creator = caller().subject
        created = await asyncio.to_thread(self._book.create, policy, identity)
        self._loop.poke()
        return created

    async def GetTuningPolicy(
        self, request: policy_pb2.GetTuningPolicyRequest, context: object
    ) -> policy_pb2.TuningPolicy:
        """Returns a policy."""
        return await self._get(request.name)

    async def ListTuningPolicies(
        self, request: policy_pb2.ListTuningPoliciesRequest, context: object
    ) -> policy_pb2.ListTuningPoliciesResponse:
        """Returns a page of policies."""
        page = await asyncio.to_thread(self._book.page, request)
        return policy_pb2.ListTuningPoliciesResponse(
            tuning_policies=page.resources, next_page_token=page.next_page_token
        )

    async def UpdateTuningPolicy(
        self, request: policy_pb2.UpdateTuningPolicyRequest, context: object
    ) -> policy_pb2.TuningPolicy:
        """Changes a policy."""
        given = request.tuning_policy
        paths = _checked_paths(list(request.update_mask.paths))
        stored = await self._get(given.name, f"{FIELD}.name")
        changed = policy_pb2.TuningPolicy(paused=given.paused, labels=given.labels)
        if "labels" in paths:
            check_labels(given.labels, f"{FIELD}.labels")
        if "triggers" in paths:
            changed.triggers.CopyFrom(checked_triggers(given.triggers))
        if "spec" in paths:
            dataset = DatasetName.from_name(stored.dataset)
            changed.spec.CopyFrom(await self._check.spec(given.spec, dataset))

        def change(policy: policy_pb2.TuningPolicy) -> policy_pb2.TuningPolicy:
            if given.etag and given.etag != policy.etag:
                raise ConflictError(f"{policy.name} was changed by another caller; read it again.")
            _take(policy, changed, paths)
            policy.etag = new_etag()
            policy.update_time.GetCurrentTime()
            return policy

        updated = await asyncio.to_thread(self._book.update, given.name, change)
        self._loop.poke()
        return updated

    async def DeleteTuningPolicy(
        self, request: policy_pb2.DeleteTuningPolicyRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes a policy."""
        name = TuningPolicyName.from_name(request.name).name
        await asyncio.to_thread(self._book.delete, name)
        return empty_pb2.Empty()

    async def RunTuningPolicy(
        self, request: policy_pb2.RunTuningPolicyRequest, context: object
    ) -> policy_pb2.TuningDecision:
        """Has a policy search now, or say what it would do."""
        policy = await self._get(request.name)
        if request.dry_run:
            return await self._actor.foresee(policy)
        return await self._actor.request(policy)

    async def ListTuningDecisions(
        self, request: policy_pb2.ListTuningDecisionsRequest, context: object
    ) -> policy_pb2.ListTuningDecisionsResponse:
        """Returns a page of decisions."""
        TuningPolicyName.from_name(request.parent, "parent")
        page = await asyncio.to_thread(self._book.decisions, request)
        return policy_pb2.ListTuningDecisionsResponse(
            tuning_decisions=page.resources, next_page_token=page.next_page_token
        )

    async def _get(self, name: str, field: str = "name") -> policy_pb2.TuningPolicy:
        name = TuningPolicyName.from_name(name, field).name
        return await asyncio.to_thread(self._book.get, name)


def _checked_paths(paths: list[str]) -> list[str]:
    known = ", ".join(f"`{each}`" for each in _CHANGEABLE)
    if not paths:
        raise InvalidFieldError("update_mask", f"Is required: name some of {known}.")
    other = next((each for each in paths if each not in _CHANGEABLE), "")
    if other:
        raise InvalidFieldError("update_mask", f"`{other[:100]}` cannot change; {known} can.")
    return paths


def _take(
    policy: policy_pb2.TuningPolicy, changed: policy_pb2.TuningPolicy, paths: list[str]
) -> None:
    """Takes some fields over from another policy."""
    if "spec" in paths:
        policy.spec.CopyFrom(changed.spec)
    if "triggers" in paths:
        policy.triggers.CopyFrom(changed.triggers)
    if "paused" in paths:
        policy.paused = changed.paused
    if "labels" in paths:
        policy.labels.clear()
        policy.labels.update(changed.labels)
