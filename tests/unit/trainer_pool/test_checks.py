"""What agents and coordinators may say to the pool."""

from typing import TypeVar

import pytest
from google.protobuf.message import Message

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.errors import InvalidFieldError
from services.trainer.pool.checks import check_demand, check_place

M = TypeVar("M", bound=Message)


def place(**changes: object) -> agents_pb2.JoinRequest:
    return _changed(
        agents_pb2.JoinRequest(agent=trainer_pb2.Agent(id="agent-1", host="h", slots=2)), changes
    )


def demand(**changes: object) -> agents_pb2.RecruitRequest:
    wanted = agents_pb2.RecruitRequest(
        training_run="trainingRuns/r",
        attempt=1,
        coordinator_address="127.0.0.1:4000",
        token="t",
        workers=trainer_pb2.WorkerRange(min=1, wanted=2, max=2),
        priority_time_ns=1,
        priority=trainer_pb2.PRIORITY_NORMAL,
    )
    return _changed(wanted, changes)


def _changed(message: M, changes: dict[str, object]) -> M:
    for path, value in changes.items():
        *parents, field = path.split("__")
        part: Message = message
        for name in parents:
            part = getattr(part, name)
        if isinstance(value, list):
            getattr(part, field).extend(value)
        else:
            setattr(part, field, value)
    return message


def test_what_is_right_passes() -> None:
    """Host names with dots, idle agents and agents at work."""
    check_place(place())
    check_place(place(agent__id="worker-0.gpu_pool", agent__slots=0, attempt=3))
    check_place(place(agent__training_run="trainingRuns/r", coordinator_address="h:1"))
    check_demand(demand())


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("agent.id", {"agent__id": ""}),
        ("agent.id", {"agent__id": "../a"}),
        ("agent.slots", {"agent__slots": -1}),
        ("agent.slots", {"agent__slots": 2**31 - 1}),
        ("agent.devices", {"agent__devices": ["cuda"] * 65}),
        ("agent.devices", {"agent__devices": ["x" * 5_000]}),
        ("agent.training_run", {"agent__training_run": "trainingRuns/*"}),
        ("attempt", {"attempt": -1}),
        ("assignment", {"assignment": -(2**63)}),
        ("coordinator_address", {"coordinator_address": "x" * 5_000}),
    ],
)
def test_wrong_place_is_refused(field: str, changes: dict[str, object]) -> None:
    """An agent that says what cannot be does not get into the pool's plan."""
    with pytest.raises(InvalidFieldError) as caught:
        check_place(place(**changes))
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("training_run", {"training_run": "models/m"}),
        ("attempt", {"attempt": 0}),
        ("coordinator_address", {"coordinator_address": "nowhere"}),
        ("token", {"token": ""}),
        ("workers", {"workers__min": 3}),
        ("workers", {"workers__max": 2**31 - 1}),
        ("priority_time_ns", {"priority_time_ns": -1}),
        ("priority", {"priority": 0}),
        ("priority", {"priority": 9}),
    ],
)
def test_wrong_demand_is_refused(field: str, changes: dict[str, object]) -> None:
    """A run that asks for what cannot be does not keep agents from the others."""
    with pytest.raises(InvalidFieldError) as caught:
        check_demand(demand(**changes))
    assert caught.value.violations[0].field == field
