"""The roles that all methods need which the suite serves."""

from collections.abc import Iterator

from grpc_channelz.v1 import channelz_pb2
from grpc_reflection.v1alpha import reflection_pb2

from common.contracts import methods, path_of
from common.identity import Role
from common.serving.interceptors.roles import required_role


def served() -> Iterator[str]:
    """Yields the paths of all methods that are served behind a token."""
    yield from map(path_of, methods())
    for foreign in (channelz_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        for service in foreign.services_by_name.values():
            yield from map(path_of, service.methods)


def required_roles() -> dict[str, Role]:
    """Returns the role of each method that is open to anybody, by its path."""
    found = ((path, required_role(path)) for path in served())
    return {path: role for path, role in found if role is not None}
