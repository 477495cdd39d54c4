"""The table of roles is complete, and holds."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor
from grpc_channelz.v1 import channelz_pb2
from grpc_reflection.v1alpha import reflection_pb2

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, lineage_pb2, model_pb2, transfer_pb2
from aimass.maintenance.v1 import maintenance_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import agents_pb2, trainer_pb2
from aimass.tuner.v1 import policy_pb2, study_pb2, tuner_pb2
from common.calls import client
from common.identity import Role
from common.serving.interceptors.roles import REQUIRED, allows

FILES: list[FileDescriptor] = [
    analyzer_pb2.DESCRIPTOR,
    dataset_pb2.DESCRIPTOR,
    lineage_pb2.DESCRIPTOR,
    model_pb2.DESCRIPTOR,
    transfer_pb2.DESCRIPTOR,
    maintenance_pb2.DESCRIPTOR,
    outlier_pb2.DESCRIPTOR,
    pruner_pb2.DESCRIPTOR,
    trainer_pb2.DESCRIPTOR,
    agents_pb2.DESCRIPTOR,
    policy_pb2.DESCRIPTOR,
    tuner_pb2.DESCRIPTOR,
    study_pb2.DESCRIPTOR,
    channelz_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
]


def methods() -> Iterator[str]:
    """Yields the full name of every method that the suite serves behind a token."""
    for file in FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}"


def test_every_method_has_a_role_and_every_entry_a_method() -> None:
    """A new RPC without a role is denied to all: this says so before a user finds out."""
    assert set(REQUIRED) == set(methods())


@pytest.mark.parametrize("role", Role)
def test_agents_and_people_stay_apart(role: Role) -> None:
    """A worker host that is broken into gives no access to data and models."""
    opened = {method for method, needed in REQUIRED.items() if allows(role, needed)}
    people = {method for method, needed in REQUIRED.items() if needed is not Role.AGENT}
    if role is Role.AGENT:
        assert opened.isdisjoint(people)
    elif role is Role.ADMIN:
        assert opened == set(REQUIRED)
    elif role is Role.SERVICE:
        admins = {method for method, needed in REQUIRED.items() if needed is Role.ADMIN}
        assert opened == set(REQUIRED) - admins
    else:
        assert opened < people


def test_no_reading_role_changes_anything() -> None:
    """What begins with Apply, Create, Cancel, Delete or Write needs more than a viewer."""
    for method, needed in REQUIRED.items():
        verb = method.rsplit("/", 1)[1]
        if verb == "CreateArtifactUrl":
            continue  # It makes an address to read from, and stores nothing.
        if verb.startswith(("Apply", "Create", "Cancel", "Delete", "Set", "Update", "Write")):
            assert needed is Role.EDITOR, method


def test_service_config_names_existing_methods() -> None:
    """A misspelt name in the service config silently switches retries off."""
    known = set(methods())
    services = {method.split("/")[1] for method in known}
    for service, names in client.RETRIED.items():
        assert service in services
        assert all(f"/{service}/{name}" in known for name in names)
    assert grpc.StatusCode.UNAVAILABLE.name in client.service_config()


def test_streams_are_not_retried() -> None:
    """A stream is taken up where it broke off; a retry of its call begins anew, or never ends."""
    streams = {each for each in methods() if "/Watch" in each or "/ScoreStream" in each}
    named = {
        f"/{service}/{name}" for service, names in client.NOT_RETRIED.items() for name in names
    }
    # A fault that was injected and not answered is not to be injected twice.
    assert named == streams | {"/aimass.trainer.v1.TrainingService/InjectFault"}
