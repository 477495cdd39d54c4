"""Policies over gRPC: their lives, and what is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf import field_mask_pb2, json_format

from aimass.tuner.v1 import policy_pb2, policy_pb2_grpc
from common.serving.server import Service
from common.testing.server import channel_to, running_server
from services.tuner.policy.checking import PolicyCheck
from services.tuner.policy.servicer import PolicyServicer
from tests.unit.tuner_policy.policies import DATA, MODEL, NAME, Bench


@asynccontextmanager
async def served(bench: Bench) -> AsyncIterator["policy_pb2_grpc.PolicyServiceAsyncStub"]:
    """Yields a stub of the service."""
    check = PolicyCheck(bench.validator, bench.lookout)
    servicer = PolicyServicer(bench.book, check, bench.actor, bench.loop)
    service = Service(
        "aimass.tuner.v1.PolicyService",
        lambda server: policy_pb2_grpc.add_PolicyServiceServicer_to_server(servicer, server),
    )
    async with running_server([service]) as address, channel_to(address) as channel:
        yield policy_pb2_grpc.PolicyServiceStub(channel)


async def test_a_policy_lives_from_its_creation_to_its_deletion(bench: Bench) -> None:
    """Defaults, lists, changes with an etag, decisions, deletion with all that belongs to it."""
    async with served(bench) as stub:
        wanted = policy_pb2.CreateTuningPolicyRequest(
            tuning_policy=policy_pb2.TuningPolicy(dataset=DATA),
            tuning_policy_id="p",
            validate_only=True,
        )
        checked = await stub.CreateTuningPolicy(wanted)
        assert (checked.alias, checked.spec.model) == ("champion", MODEL)
        assert checked.triggers.new_version and not bench.book.all()
        wanted.tuning_policy.creator = "somebody else"
        wanted.validate_only = False
        created = await stub.CreateTuningPolicy(wanted)
        get = policy_pb2.GetTuningPolicyRequest(name=NAME)
        assert await stub.GetTuningPolicy(get) == created
        page = await stub.ListTuningPolicies(
            policy_pb2.ListTuningPoliciesRequest(filter=f'dataset="{DATA}"')
        )
        assert list(page.tuning_policies) == [created]
        update = policy_pb2.UpdateTuningPolicyRequest(
            tuning_policy=policy_pb2.TuningPolicy(name=NAME, paused=True, etag=created.etag),
            update_mask=field_mask_pb2.FieldMask(paths=["paused"]),
        )
        changed = await stub.UpdateTuningPolicy(update)
        assert changed.paused and changed.triggers == created.triggers
        assert changed.creator == created.creator == "admin"  # the caller where there are no tokens
        with pytest.raises(grpc.aio.AioRpcError) as stale:
            await stub.UpdateTuningPolicy(update)
        assert stale.value.code() is grpc.StatusCode.ABORTED
        begun = await stub.RunTuningPolicy(policy_pb2.RunTuningPolicyRequest(name=NAME))
        parent = policy_pb2.ListTuningDecisionsRequest(parent=NAME)
        assert [
            each.name for each in (await stub.ListTuningDecisions(parent)).tuning_decisions
        ] == [begun.name]
        await stub.DeleteTuningPolicy(policy_pb2.DeleteTuningPolicyRequest(name=NAME))
        assert not bench.records.find(f"{NAME}/decisions", policy_pb2.TuningDecision)
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await stub.ListTuningDecisions(parent)
        assert gone.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({}, "dataset"),
        ({"dataset": "d"}, "dataset"),
        ({"dataset": DATA, "alias": "latest"}, "alias"),
        ({"dataset": DATA, "triggers": {"drift": 0}}, "triggers.drift"),
        ({"dataset": DATA, "triggers": {"feedback_rows": 0}}, "triggers.feedback_rows"),
        ({"dataset": DATA, "spec": {"champion": "models/m@x"}}, "spec.champion"),
        ({"dataset": DATA, "spec": {"outliers": {"scan": "outlierScans/s"}}}, "spec.outliers"),
        ({"dataset": DATA, "spec": {"families": ["forest"]}}, "spec.families[0]"),
    ],
)
async def test_what_is_wrong_is_named_by_field(
    bench: Bench, policy: dict[str, Any], field: str
) -> None:
    """Of a policy, not of the search that it would begin."""
    async with served(bench) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.CreateTuningPolicy(
                policy_pb2.CreateTuningPolicyRequest(
                    tuning_policy=json_format.ParseDict(policy, policy_pb2.TuningPolicy())
                )
            )
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert str(refusal.value.details()).startswith(f"tuning_policy.{field}:")


async def test_data_without_test_rows_are_no_ground_for_decisions(bench: Bench) -> None:
    """Said when the policy is created, not with the first decision."""
    bench.catalog.add_version(test=0)
    async with served(bench) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.CreateTuningPolicy(
                policy_pb2.CreateTuningPolicyRequest(
                    tuning_policy=policy_pb2.TuningPolicy(dataset=DATA)
                )
            )
        assert "test_fraction" in str(refusal.value.details())
