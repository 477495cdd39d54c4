"""The roles and retries that the contracts name are complete, and hold."""

import json

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default

from common.calls import client
from common.contracts import methods, path_of
from common.identity import Role
from common.serving.interceptors.roles import allows, required_role
from tests.support.roles import required_roles, served

REQUIRED = required_roles()


def test_every_method_has_a_role() -> None:
    """A new RPC without a role is denied to all: this says so before a user finds out."""
    assert set(REQUIRED) == set(served())


def test_a_method_without_a_role_is_closed_to_all() -> None:
    """Whoever forgets the role of a method, or asks for one of no contract, opens nothing."""
    file = FileDescriptorProto(name="forgotten.proto", package="forgotten")
    file.message_type.add(name="Nothing")
    method = file.service.add(name="Service").method.add(name="Open")
    method.input_type = method.output_type = ".forgotten.Nothing"
    Default().Add(file)
    assert required_role("/forgotten.Service/Open") is None
    assert required_role("/forgotten.Service/Invented") is None


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


def test_streams_are_not_retried() -> None:
    """A stream is taken up where it broke off; a retry of its call begins anew, or never ends."""
    once = {path_of(method) for method in methods() if not client.is_retried(method)}
    streaming = (each for each in methods() if each.client_streaming or each.server_streaming)
    streams = set(map(path_of, streaming))
    # A fault that was injected and not answered is not to be injected twice.
    assert once == {*streams, "/aimass.trainer.v1.TrainingService/InjectFault"}
    (retried, single) = json.loads(client.service_config())["methodConfig"]
    assert grpc.StatusCode.UNAVAILABLE.name in retried["retryPolicy"]["retryableStatusCodes"]
    assert {f"/{each['service']}/{each['method']}" for each in single["name"]} == once
