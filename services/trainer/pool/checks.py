"""Whether agents and coordinators say what can be: a wrong one must not disturb the others."""

import re

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.errors import InvalidFieldError
from common.names import TrainingRunName
from common.wording import quoted

MAX_SLOTS = 1024
_MAX_DEVICES = 64
_MAX_TEXT = 4096
_AGENT_ID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_ADDRESS = re.compile(r"[^\s/]{1,255}:\d{1,5}")


def check_place(place: agents_pb2.JoinRequest) -> None:
    """Checks an agent's message.

    Raises:
        InvalidFieldError: Naming the field.
    """
    agent = place.agent
    if not _AGENT_ID.fullmatch(agent.id):
        raise InvalidFieldError(
            "agent.id",
            "must be 1 to 253 letters, digits, dots, hyphens and underscores, not "
            f"{quoted(agent.id)}",
        )
    _check_range("agent.slots", agent.slots, 0, MAX_SLOTS)
    if len(agent.devices) > _MAX_DEVICES:
        raise InvalidFieldError(
            "agent.devices", f"must be at most {_MAX_DEVICES}, not {len(agent.devices)}"
        )
    for field, text in (("agent.host", agent.host), *(("agent.devices", d) for d in agent.devices)):
        _check_length(field, text)
    if agent.training_run:
        TrainingRunName.from_name(agent.training_run, "agent.training_run")
    _check_length("coordinator_address", place.coordinator_address)
    _check_range("attempt", place.attempt, 0)
    _check_range("assignment", place.assignment, 0)


def check_demand(demand: agents_pb2.RecruitRequest) -> None:
    """Checks a coordinator's message.

    Raises:
        InvalidFieldError: Naming the field.
    """
    TrainingRunName.from_name(demand.training_run, "training_run")
    _check_range("attempt", demand.attempt, 1)
    if not _ADDRESS.fullmatch(demand.coordinator_address):
        raise InvalidFieldError(
            "coordinator_address", f"must be `host:port`, not {quoted(demand.coordinator_address)}"
        )
    if not demand.token:
        raise InvalidFieldError("token", "must be set: agents show it to the coordinator")
    _check_length("token", demand.token)
    workers = demand.workers
    if not 1 <= workers.min <= workers.wanted <= workers.max <= MAX_SLOTS:
        raise InvalidFieldError(
            "workers",
            f"1 <= min <= wanted <= max <= {MAX_SLOTS} must hold, but min is "
            f"{workers.min}, wanted {workers.wanted}, max {workers.max}",
        )
    _check_range("priority_time_ns", demand.priority_time_ns, 0)
    _check_range("priority", demand.priority, trainer_pb2.PRIORITY_LOW, trainer_pb2.PRIORITY_HIGH)


def _check_range(field: str, value: int, least: int, most: int | None = None) -> None:
    if value < least or (most is not None and value > most):
        upper = "" if most is None else f" and at most {most}"
        raise InvalidFieldError(field, f"must be at least {least}{upper}, not {value}")


def _check_length(field: str, text: str) -> None:
    if len(text) > _MAX_TEXT:
        raise InvalidFieldError(field, f"must have at most {_MAX_TEXT} characters, not {len(text)}")
