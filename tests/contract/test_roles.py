"""The table of roles is complete, and holds."""

from collections.abc import Iterator

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2
from grpc_reflection.v1alpha import reflection_pb2

from common.calls import client
from common.identity import Role
from common.serving.interceptors.roles import REQUIRED, allows
from tests.support.contracts import methods, path_of


def served() -> Iterator[str]:
    """Yields every method that the suite serves behind a token."""
    yield from map(path_of, methods())
    for foreign in (channelz_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        for service in foreign.services_by_name.values():
            yield from map(path_of, service.methods)


def test_every_method_has_a_role_and_every_entry_a_method() -> None:
    """A new RPC without a role is denied to all: this says so before a user finds out."""
    assert set(REQUIRED) == set(served())


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
    once = {f"/{service}/{name}" for service, names in client.NOT_RETRIED.items() for name in names}
    streaming = (each for each in methods() if each.client_streaming or each.server_streaming)
    streams = set(map(path_of, streaming))
    # A fault that was injected and not answered is not to be injected twice.
    assert once == {*streams, "/aimass.trainer.v1.TrainingService/InjectFault"}
    assert grpc.StatusCode.UNAVAILABLE.name in client.service_config()
