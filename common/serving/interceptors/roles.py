"""Which role each method needs: what its contract says."""

from google.protobuf import descriptor_pool

from aimass.type.v1 import method_pb2
from common.identity import Caller, Role

# Answered without a token: probes of the platform have none.
OPEN = ("/grpc.health.v1.Health/",)

_INCLUDES = {
    Role.VIEWER: {Role.VIEWER},
    Role.EDITOR: {Role.VIEWER, Role.EDITOR},
    Role.ADMIN: {Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.AGENT},
    Role.AGENT: {Role.AGENT},
    Role.SERVICE: {Role.VIEWER, Role.EDITOR, Role.AGENT},
}

# Methods of the suite say in its contracts what they need; these services are of others.
_FOREIGN = {
    "grpc.channelz.v1.Channelz": Role.ADMIN,
    "grpc.reflection.v1alpha.ServerReflection": Role.VIEWER,
}
_ROLES = {
    method_pb2.ROLE_VIEWER: Role.VIEWER,
    method_pb2.ROLE_EDITOR: Role.EDITOR,
    method_pb2.ROLE_ADMIN: Role.ADMIN,
    method_pb2.ROLE_AGENT: Role.AGENT,
}


def required_role(path: str) -> Role | None:
    """Returns the role that a served method needs.

    Args:
        path: Its full name, for example `/aimass.trainer.v1.TrainingService/GetTrainingRun`.

    Returns:
        The role; None for a method whose contract names none: nobody may.
    """
    service, _, name = path.removeprefix("/").partition("/")
    if service in _FOREIGN:
        return _FOREIGN[service]
    try:
        method = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return None
    return _ROLES.get(method.GetOptions().Extensions[method_pb2.role])


def allows(role: Role, needed: Role) -> bool:
    """Whether a role includes another."""
    return needed in _INCLUDES[role]


def allows_caller(found: Caller, needed: Role) -> bool:
    """Whether a caller may do what needs a role.

    Who is not allowed something is not allowed it by way of a service either. Keeping workers is
    the service's own business, whoever the run is for.
    """
    if not found.service:
        return allows(found.role, needed)
    is_for_caller = needed is not Role.AGENT
    return allows(Role.SERVICE, needed) and (not is_for_caller or allows(found.role, needed))
